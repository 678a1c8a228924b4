"""The evaluation job: all that `vistok eval` does, called from Python."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from vistok.eval.job import MissingMetric, run_evaluation
from vistok.eval.reconstructors.identity import Identity
from vistok.eval.reconstructors.reconstructor import Clips, Reconstruction

SOURCE = "samples:heldout"


class Counting(Identity):
    """The images themselves; counts the clips, and is interrupted before the `stop`-th batch."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.batches, self.clips = stop, 0, 0

    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        if self.batches == self.stop:
            raise KeyboardInterrupt
        self.batches += 1
        self.clips += len(clips)
        return super().reconstruct(clips, keys)


def images(folder: Path, count: int = 5) -> Path:
    folder.mkdir()
    for index in range(count):
        Image.new("RGB", (64, 64), (40 * index, 100, 30)).save(folder / f"{index}.png")
    return folder


def test_the_result_names_rows_files_and_required_metrics_without_a_value(tmp_path):
    seen = []
    result = run_evaluation(
        SOURCE,
        ["identity", "bicubic:f=4"],
        tmp_path / "report",
        size=64,
        metrics=["psnr"],
        require=["rfid", "ssim"],
        cache=tmp_path / "cache",
        on_row=seen.append,
    )
    assert [row.tokenizer for row in result.rows] == ["identity", "bicubic:f=4"]
    assert seen == list(result.rows)
    assert all({"psnr", "ssim"} <= row.metrics.keys() for row in result.rows)
    assert result.missing == (
        MissingMetric("identity", "rfid"),
        MissingMetric("bicubic:f=4", "rfid"),
    )
    assert result.bad_files == ()
    stored = json.loads(result.files.json.read_text(encoding="utf-8"))
    assert stored == result.report.to_json()
    written = {result.files.json, result.files.markdown, result.files.html, result.sample_table}
    assert set((tmp_path / "report").iterdir()) == written


def test_diagnostics_run_on_the_tokenizers_that_were_scored(tmp_path):
    def darker(pixels):
        return pixels * 0.5 - 0.5

    result = run_evaluation(
        SOURCE, [darker, darker], tmp_path, size=64, metrics=["psnr"], limit=2, battery=True
    )
    names = ["darker", "darker (2)"]
    assert [row.tokenizer for row in result.rows] == names
    drift = [finding for finding in result.report.battery if finding.test == "drift"]
    assert [finding.tokenizer for finding in drift] == names
    assert all(finding.numbers["shift_8_levels"] > 10 for finding in drift)


def test_a_file_that_cannot_be_read_is_listed_once_for_all_tokenizers(tmp_path):
    source = images(tmp_path / "source")
    (source / "broken.png").write_bytes((source / "0.png").read_bytes()[:60])
    result = run_evaluation(
        source, ["identity", "bicubic:f=2"], tmp_path / "report", size=64, metrics=["psnr"]
    )
    assert [bad.path for bad in result.bad_files] == [str(source / "broken.png")]


def test_an_interrupted_evaluation_resumes_and_leaves_no_partial_scores(tmp_path):
    source, output = images(tmp_path / "source"), tmp_path / "report"
    options = {"size": 64, "metrics": ["psnr"], "batch_size": 1}
    with pytest.raises(KeyboardInterrupt):
        run_evaluation(source, Counting(stop=2), output, **options)
    assert list(output.rglob("*.parquet"))
    again = Counting()
    result = run_evaluation(source, again, output, **options)
    assert result.rows[0].num_samples == 5
    # Three samples to score; the examples are reconstructed once more for the report.
    assert again.clips == 3 + 5
    assert [path for path in output.iterdir() if path.is_dir()] == []


def test_an_output_that_cannot_be_a_folder_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    reconstructor = Counting()
    with pytest.raises(ValueError, match="cannot be a folder"):
        run_evaluation(SOURCE, reconstructor, tmp_path / "file", size=64)
    assert reconstructor.batches == 0
