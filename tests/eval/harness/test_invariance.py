"""Given the same reconstructed pixels, no number depends on batches, order, or processes.

Every metric there is takes part, the learned ones on random weights.
"""

import json
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
import torch

from commands import start_process
from tiny import tiny_tokenizer
from vistok import evaluate
from vistok.data.sources.source import list_source
from vistok.eval.harness.row import Row

SCRIPT = Path(__file__).parents[2] / "support" / "evaluate_ranks.py"
METRICS = ("psnr", "ssim", "ms_ssim", "lpips_alex", "rfid", "kid", "inception_score")
OPTIONS = {"size": 176, "limit": 11, "metrics": METRICS}
RECONSTRUCTOR = "jpeg:q=20"

pytestmark = pytest.mark.usefixtures("inception_file", "alexnet_file")


def score(source: str, batch_size: int) -> Row:
    (row,) = evaluate(source, RECONSTRUCTOR, batch_size=batch_size, examples=False, **OPTIONS)
    return row


@pytest.fixture
def reference() -> Row:
    return score("samples:images", batch_size=8)


def assert_same(row: Row, reference: Row) -> None:
    assert row.num_samples == reference.num_samples == 11
    assert row.metrics.keys() == reference.metrics.keys()
    assert row.metrics == pytest.approx(reference.metrics, rel=1e-6, abs=1e-6)
    assert row.bits_per_pixel == pytest.approx(reference.bits_per_pixel)
    for name, ends in reference.intervals.items():
        assert row.intervals[name] == pytest.approx(ends, rel=1e-6)


@pytest.mark.slow
def test_all_metrics_are_independent_of_batches_order_and_processes(reference, tmp_path):
    assert set(METRICS) <= reference.metrics.keys(), reference.unavailable
    assert reference.metrics["rfid"] > 1e-3, "the comparison is of something"
    assert_same(score("samples:images", batch_size=3), reference)

    files = list_source("samples:images").files[:11]
    shuffled = tmp_path / "shuffled.txt"
    shuffled.write_text("\n".join(file.path for file in files[::-1]) + "\n")
    backwards = score(str(shuffled), batch_size=1)
    assert_same(backwards, reference)
    assert [sample["psnr"] for sample in backwards.per_sample] == pytest.approx(
        [sample["psnr"] for sample in reference.per_sample[::-1]]
    )

    tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    network = {"size": 64, "limit": 3, "metrics": ["psnr", "ssim", "codebook_entropy"]}
    empty = {"size": 64, "limit": 1, "metrics": ["psnr"]}
    jobs = [
        {"source": "samples:images", "tokenizer": RECONSTRUCTOR, **OPTIONS},
        {"source": "samples:heldout", "tokenizer": str(tmp_path / "tokenizer"), **network},
        {"source": "samples:heldout", "tokenizer": "bicubic:f=4", **empty},
    ]
    (alone,) = evaluate("samples:heldout", tiny_tokenizer(), **network)
    for shared, through_network, one_sample in on_ranks(2, tmp_path, jobs):
        assert_same(shared, reference)
        assert [s["key"] for s in shared.per_sample] == [s["key"] for s in reference.per_sample]
        assert through_network.metrics == pytest.approx(alone.metrics, abs=1e-3)
        assert through_network.code_use == alone.code_use
        assert one_sample.num_samples == 1, "the second rank had none, and waited for the first"


def on_ranks(count: int, folder: Path, jobs: list[dict]) -> list[list[Row]]:
    """The rows of all jobs on every process."""
    processes = [
        start_process([sys.executable, SCRIPT, rank, count, folder, json.dumps(jobs)], stderr=PIPE)
        for rank in range(count)
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors.decode()
    finally:
        for process in processes:
            process.kill()  # one that failed leaves the others waiting
            process.communicate()
    return [
        torch.load(folder / f"{rank}-of-{count}.pt", weights_only=False) for rank in range(count)
    ]
