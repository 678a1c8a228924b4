"""Evaluation from Python, with its report and as a table."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from made_rows import some_rows
from vistok import Row, Rows, evaluate
from vistok.data.sources.source import list_source

OPTIONS = {"size": 64, "metrics": ("psnr", "ssim"), "limit": 2}


def test_the_report_is_written_on_request(tmp_path):
    output, cache = tmp_path / "report", tmp_path / "cache"
    subjects = ["identity", "bicubic:f=4"]
    rows = evaluate("samples:heldout", subjects, output=str(output), cache=cache, **OPTIONS)
    assert isinstance(rows, Rows)
    assert isinstance(rows[0], Row)
    stored = json.loads((output / "report.json").read_text())["rows"]
    assert [row["tokenizer"] for row in stored] == [row.tokenizer for row in rows] == subjects
    assert stored[1]["metrics"]["psnr"] == rows[1].metrics["psnr"]
    files = {path.name for path in output.iterdir()}
    assert files == {"report.html", "report.json", "report.md", "samples.parquet"}
    alone = evaluate(list_source("samples:heldout"), subjects, **OPTIONS)
    assert alone[1].metrics == rows[1].metrics


def test_options_without_effect_on_a_report_are_refused(tmp_path):
    options: list[dict[str, Any]] = [
        {"fingerprints": False},
        {"examples": False},
        {"partial_scores": tmp_path},
    ]
    for option in options:
        with pytest.raises(ValueError, match="have no effect with output"):
            evaluate("samples:heldout", "identity", output=tmp_path / "report", **option)
    assert not any(tmp_path.iterdir())


def test_rows_become_a_table():
    pytest.importorskip("pandas", reason="pandas is optional")
    rows = Rows(some_rows())
    table = rows.to_pandas()
    assert len(table) == len(rows)
    assert list(table.columns[:2]) == ["tokenizer", "num_samples"]
    assert table["psnr"].tolist() == [row.metrics["psnr"] for row in rows]
    assert table["protocol"].unique().tolist() == ["vistok-eval-v1"]
    assert {"bits_per_pixel", "parameters", "ssim", "rfid"} <= set(table.columns)
    assert not {"per_sample", "examples", "canonical", "metrics"} & set(table.columns)


def test_without_pandas_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        Rows(some_rows()).to_pandas()


def test_a_row_prints_its_metrics():
    assert repr(some_rows()[1]) == (
        "Row(tokenizer='runs/fsq/tokenizer', num_samples=4, psnr=24, psnr_pooled=23.5, ssim=0.8, "
        "rfid=4.167)"
    )


def test_an_unwritable_output_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be a folder"):
        evaluate("samples:heldout", "identity", output=tmp_path / "file")
