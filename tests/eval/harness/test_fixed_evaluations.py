"""Metrics of fixed evaluations are those of the harness before its metrics were torchmetrics'.

The expected values and the command that wrote them: `tests/support/fixed_evaluations.py`.
"""

import json
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
from fixed_evaluations import (
    CASES,
    FILE,
    RANK_CASES,
    SLOW_CASES,
    assert_equal,
    machine,
    scored,
    write_weights,
)
from metric_ranks import values_of

from commands import start_process

RANKS_SCRIPT = Path(__file__).parents[2] / "support" / "metric_ranks.py"
RECORDED = json.loads(FILE.read_text())
EXPECTED = RECORDED["cases"]
IS_SAME_MACHINE = RECORDED["machine"] == machine()


@pytest.mark.parametrize("name", sorted(CASES))
def test_fixed_evaluations_have_the_metrics_they_had(name, tmp_path, monkeypatch):
    write_weights(tmp_path, monkeypatch.setenv, [name])
    assert_equal(scored(name), EXPECTED[name], IS_SAME_MACHINE)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SLOW_CASES))
def test_learned_metrics_are_what_they_were(name, tmp_path, monkeypatch):
    write_weights(tmp_path, monkeypatch.setenv, [name])
    assert_equal(scored(name), EXPECTED[name], IS_SAME_MACHINE)
    assert {"rfid", "kid", "inception_score", "lpips_alex"} <= EXPECTED[name]["metrics"].keys()


@pytest.mark.slow
def test_two_processes_have_the_metrics_they_had_and_classes_those_of_one(tmp_path):
    processes = [
        start_process([sys.executable, RANKS_SCRIPT, rank, 2, tmp_path], stderr=PIPE)
        for rank in range(2)
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=180)
            assert process.returncode == 0, errors.decode()
    finally:
        for process in processes:
            process.kill()  # one that failed leaves the others waiting
            process.communicate()
    alone = values_of([(0, 8)])
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        for name in RANK_CASES:
            assert_equal(found["cases"][name], RECORDED["two_processes"][name], IS_SAME_MACHINE)
        # Metric classes alone, reduced by torchmetrics; then with a rank that has no samples
        for way in ("shared", "one_without"):
            assert found[way].keys() == alone.keys()
            for name, values in alone.items():
                assert found[way][name] == pytest.approx(values, rel=1e-9, abs=1e-12), (way, name)
