"""Statistics of the originals are taken once, and stored ones only where nothing differs."""

import shutil
from pathlib import Path

import pytest
import torch

from extractor_files import TinyI3D, write_script
from vistok import evaluate
from vistok.data.sources.bundled import SAMPLES
from vistok.eval.features.i3d import I3D
from vistok.eval.harness.row import Row

CLIPS = {"size": 32, "frames": 9, "metrics": ["rfvd"], "force": True, "examples": False}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, i3d_file: Path) -> list[int]:
    """How many clips every call shows to the network."""
    counts: list[int] = []
    features = I3D.features

    def counted(self: I3D, clips: torch.Tensor) -> torch.Tensor:
        counts.append(len(clips))
        return features(self, clips)

    monkeypatch.setattr(I3D, "features", counted)
    return counts


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for path in sorted((SAMPLES / "videos").iterdir())[:5]:
        shutil.copy(path, folder)
    return folder


def score(source: Path, cache: Path | None, **change: object) -> list[Row]:
    return evaluate(source, ["bicubic:f=2", "bicubic:f=4"], cache=cache, **{**CLIPS, **change})


def test_the_originals_are_shown_once_for_all_reconstructors_and_never_again(
    source, shown, tmp_path
):
    without = score(source, None)
    assert sum(shown) == 5 + 2 * 5
    shown.clear()
    first = score(source, tmp_path / "cache")
    assert sum(shown) == 5 + 2 * 5
    shown.clear()
    second = score(source, tmp_path / "cache")
    assert sum(shown) == 2 * 5
    for a, b, c in zip(without, first, second, strict=True):
        assert a.metrics["rfvd"] == b.metrics["rfvd"] == c.metrics["rfvd"] > 0


def test_stored_statistics_are_not_used_where_anything_differs(source, shown, i3d_file, tmp_path):
    cache = tmp_path / "cache"
    score(source, cache)

    def takes_originals(**change: object) -> bool:
        shown.clear()
        count = len(score(source, cache, **change)[0].per_sample)
        return sum(shown) == 3 * count

    assert not takes_originals()
    assert takes_originals(size=64)
    assert takes_originals(frames=10)
    assert takes_originals(limit=4)
    shown.clear()
    score(source, cache, protocol="vidtok")
    assert sum(shown) == 3 * 5 + 2 * 5, "its own originals; the canonical ones are known"
    clip = min(source.iterdir())
    clip.write_bytes(clip.read_bytes())
    assert takes_originals(), "a file was written again"
    (source / "asl_bird_0.mp4").rename(source / "renamed.mp4")
    assert takes_originals(), "a file has another name"
    torch.manual_seed(1)
    write_script(TinyI3D(), i3d_file)
    assert takes_originals(), "the network has other weights"


def test_statistics_with_files_left_out_are_not_stored(source, shown, tmp_path):
    (source / "short.mp4").write_bytes(min(source.iterdir()).read_bytes()[:4000])
    (row, _) = score(source, tmp_path / "cache")
    assert (row.num_samples, len(row.bad_files)) == (5, 1)
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_written_is_named_and_costs_no_score(
    source, shown, tmp_path, caplog
):
    (tmp_path / "file").write_text("no folder")
    cache = tmp_path / "file" / "cache"
    rows = score(source, cache)
    assert [row.metrics["rfvd"] > 0 for row in rows] == [True, True]
    assert caplog.text.count(f"not stored in {cache}: ") == 1


def test_a_store_that_may_not_be_read_is_named_and_costs_no_score(
    source, shown, tmp_path, monkeypatch, caplog
):
    def refused(path: Path) -> None:
        raise PermissionError(f"no permission to read {path}")

    score(source, tmp_path / "cache")
    monkeypatch.setattr("vistok.eval.harness.reference_statistics.load_file", refused)
    assert score(source, tmp_path / "cache")[0].metrics["rfvd"] > 0
    assert "cannot be read and is computed again: no permission" in caplog.text


def test_damaged_statistics_are_made_again(source, shown, tmp_path):
    score(source, tmp_path / "cache")
    (stored,) = (tmp_path / "cache").iterdir()
    stored.write_bytes(b"damaged")
    shown.clear()
    score(source, tmp_path / "cache")
    assert sum(shown) == 5 + 2 * 5
