"""An evaluation that was stopped goes on from its stored scores and ends with the same numbers."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tiny import tiny_tokenizer
from vistok import evaluate
from vistok.eval.harness.partial_scores import PartialScores, remove_partial_scores
from vistok.eval.harness.scoring import TIMED_BATCHES
from vistok.eval.reconstructors.reconstructor import Clips, Reconstruction
from vistok.eval.reconstructors.saved_tokenizer import TokenizerReconstructor

CLIPS = {
    "size": 32,
    "frames": 9,
    "batch_size": 2,
    "metrics": ["psnr", "ssim", "rfvd", "codebook_entropy"],
    "force": True,
    "examples": False,
}


class Counting(TokenizerReconstructor):
    """A tokenizer that counts its clips, and is interrupted before the `stop`-th batch."""

    def __init__(self, stop: int | None = None) -> None:
        super().__init__("tiny", tiny_tokenizer("video"))
        self.stop, self.batches, self.clips = stop, 0, 0

    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        if self.batches == self.stop:
            raise KeyboardInterrupt
        self.batches += 1
        self.clips += len(clips)
        return super().reconstruct(clips, keys)


def stopped(parts: Path, batches: int = 3, cache: Path | None = None) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(
            "samples:videos", Counting(stop=batches), partial_scores=parts, cache=cache, **CLIPS
        )


def test_only_the_rest_is_scored_and_the_numbers_are_the_same(i3d_file, tmp_path):
    (whole,) = evaluate("samples:videos", Counting(), **CLIPS)
    stopped(tmp_path)
    reconstructor = Counting()
    (row,) = evaluate("samples:videos", reconstructor, partial_scores=tmp_path, **CLIPS)
    assert reconstructor.clips == 7 - 3 * 2
    assert row.metrics == pytest.approx(whole.metrics, rel=1e-9)
    assert row.code_use == whole.code_use
    assert row.per_sample == whole.per_sample
    assert row.metrics["rfvd"] > 1e-3


def test_a_file_that_was_not_finished_is_not_read(tmp_path, caplog):
    stopped(tmp_path)
    (folder,) = tmp_path.iterdir()
    stored = len(list(PartialScores(folder).read([])))
    (folder / ".0000000007.partial.parquet").write_bytes(b"PAR1, and no more")
    assert len(list(PartialScores(folder).read([]))) == stored
    assert "cannot be read" not in caplog.text


def test_speed_is_measured_again_where_nothing_is_left_to_score(i3d_file, tmp_path):
    (whole,) = evaluate("samples:videos", Counting(), partial_scores=tmp_path, **CLIPS)
    again = Counting()
    (row,) = evaluate("samples:videos", again, partial_scores=tmp_path, **CLIPS)
    assert again.batches == TIMED_BATCHES
    assert row.encode_samples_per_second is not None
    assert row.decode_samples_per_second is not None
    assert row.encode_samples_per_second > 0 < row.decode_samples_per_second
    assert row.metrics == pytest.approx(whole.metrics, rel=1e-9)
    assert row.code_use == whole.code_use
    assert row.per_sample == whole.per_sample


def test_no_sample_counts_twice_where_parts_overlap(i3d_file, tmp_path, monkeypatch):
    (whole,) = evaluate("samples:videos", Counting(), cache=tmp_path / "cache", **CLIPS)
    parts, known = tmp_path / "parts", {"cache": tmp_path / "cache"}
    with monkeypatch.context() as patch:
        patch.setattr("vistok.eval.harness.partial_scores.WRITE_EVERY_SECONDS", 0.0)
        stopped(parts, batches=3, **known)  # three parts without features of the originals
    stopped(parts, batches=2)  # needs those; one part, of the samples of the first two
    (row,) = evaluate("samples:videos", Counting(), partial_scores=parts, **known, **CLIPS)
    assert row.metrics == pytest.approx(whole.metrics, rel=1e-9)
    assert row.code_use == whole.code_use


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"size": 64}, {"protocol": "tokenbench"}, {"metrics": ["psnr"]}]
)
def test_scores_of_another_evaluation_are_not_taken(change, i3d_file, tmp_path):
    stopped(tmp_path)
    reconstructor = Counting()
    evaluate("samples:videos", reconstructor, partial_scores=tmp_path, **{**CLIPS, **change})
    assert reconstructor.clips >= 7


def test_a_changed_file_is_scored_again(i3d_file, tmp_path):
    from vistok.data.sources.bundled import SAMPLES

    source, parts = tmp_path / "clips", tmp_path / "parts"
    source.mkdir()
    for path in sorted((SAMPLES / "videos").iterdir())[:4]:
        (source / path.name).write_bytes(path.read_bytes())
    with pytest.raises(KeyboardInterrupt):
        evaluate(source, Counting(stop=1), partial_scores=parts, **CLIPS)
    first = min(source.iterdir())
    first.write_bytes(first.read_bytes())  # the same bytes at another time
    reconstructor = Counting()
    evaluate(source, reconstructor, partial_scores=parts, **CLIPS)
    assert reconstructor.clips == 4


def test_paths_and_tiles_of_one_tokenizer_do_not_share_their_scores(tmp_path):
    quantizer = {"kind": "multi_token", "quantizer": {"kind": "fsq"}, "dim": 16}
    bottleneck = {"kind": "dual_path", "continuous": {"kind": "plain"}, "quantizer": quantizer}
    both = tiny_tokenizer("image", bottleneck)
    reconstructors = [
        TokenizerReconstructor("tiny", both),
        TokenizerReconstructor("tiny", both, path="continuous"),
        TokenizerReconstructor("tiny", both, tile=32),
    ]
    options = {"size": 64, "metrics": ["psnr"], "examples": False}
    rows = evaluate("samples:heldout", reconstructors, partial_scores=tmp_path, **options)
    assert [row.settings for row in rows] == [
        "discrete path",
        "continuous path",
        "discrete path, tiles of 32 pixels",
    ]
    assert len({row.partial_scores for row in rows}) == 3
    assert TokenizerReconstructor("tiny", tiny_tokenizer()).settings is None


def test_a_damaged_part_is_named_and_scored_again(i3d_file, tmp_path, caplog):
    stopped(tmp_path)
    (part,) = tmp_path.rglob("*.parquet")
    assert pq.read_table(part)["value/psnr"].null_count == 0
    part.write_bytes(part.read_bytes()[:100])
    reconstructor = Counting()
    evaluate("samples:videos", reconstructor, partial_scores=tmp_path, **CLIPS)
    assert reconstructor.clips == 7
    assert "cannot be read, its samples are scored again" in caplog.text


def test_only_the_parts_of_finished_rows_are_removed(tmp_path):
    parts, options = tmp_path / "parts", {"size": 64, "examples": False}
    (first,) = evaluate(
        "samples:heldout", "identity", metrics=["psnr"], partial_scores=parts, **options
    )
    (second,) = evaluate(
        "samples:heldout", "identity", metrics=["ssim"], partial_scores=parts, **options
    )
    (parts / "notes.txt").write_text("somebody's own")
    assert second.partial_scores is not None
    remove_partial_scores([first])
    assert {path.name for path in parts.iterdir()} == {second.partial_scores.name, "notes.txt"}
    (parts / "notes.txt").unlink()
    remove_partial_scores([second])
    assert not parts.exists()


def test_a_functions_scores_are_not_kept(tmp_path):
    def blank(pixels):
        return pixels * 0

    evaluate("samples:heldout", blank, size=64, metrics=["psnr"], partial_scores=tmp_path)
    assert not any(tmp_path.iterdir())
