"""A decode that is interrupted resumes with its own files, and overwrites nobody else's."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from full_disk import full_disk
from stored_jobs import encode_heldout
from tiny import tiny_tokenizer
from vistok.data.codecs import write
from vistok.data.codecs.video import probe_video
from vistok.encode import decode
from vistok.encode.decode import decode_shards
from vistok.encode.job import encode_source
from vistok.encode.resumed_decode import NOTE
from vistok.output_file import OutputError


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    return encode_heldout(tmp_path_factory.mktemp("tokens") / "job")


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def interrupted(job, tmp_path, monkeypatch) -> Path:
    """The output folder of a decode that was interrupted within its third image."""
    written = []

    def interrupted_write(path, image):
        written.append(path)
        if len(written) == 3:
            raise KeyboardInterrupt
        write.write_image(path, image)

    output = tmp_path / "out"
    monkeypatch.setattr(decode, "write_image", interrupted_write)
    with pytest.raises(KeyboardInterrupt):
        decode_shards(job, tiny_tokenizer(), output)
    monkeypatch.undo()
    assert len(list(output.rglob("*.png"))) == 2
    return output


def test_an_interrupted_decode_ends_with_the_same_files(job, tmp_path, interrupted):
    paths = decode_shards(job, tiny_tokenizer(), tmp_path / "whole")
    first = interrupted / paths[0].relative_to(tmp_path / "whole")
    untouched = first.stat().st_mtime_ns
    assert len(decode_shards(job, tiny_tokenizer(), interrupted)) == len(paths) == 4
    assert contents(interrupted) == contents(tmp_path / "whole")
    assert first.stat().st_mtime_ns == untouched


def test_a_finished_decode_leaves_only_its_files_and_is_not_repeated(job, tmp_path):
    paths = decode_shards(job, tiny_tokenizer(), tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(paths)
    with pytest.raises(ValueError, match="exists already; choose another --output"):
        decode_shards(job, tiny_tokenizer(), tmp_path)


def test_files_of_another_decode_are_not_taken_for_its_own(job, tmp_path, interrupted):
    other = encode_heldout(tmp_path / "other", size=24)
    with pytest.raises(ValueError, match="exists already; choose another --output"):
        decode_shards(other, tiny_tokenizer(), interrupted)
    with pytest.raises(ValueError, match="exists already; choose another --output"):
        decode_shards(job, tiny_tokenizer(), interrupted, keys=["images/kodim09"])
    decode_shards(job, tiny_tokenizer(), interrupted)


def test_a_file_that_lies_in_the_way_is_not_overwritten(job, tmp_path):
    taken = tmp_path / "images" / "kodim23.png"
    taken.parent.mkdir()
    taken.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"kodim23\.png exists already"):
        decode_shards(job, tiny_tokenizer(), tmp_path)
    assert contents(tmp_path) == {"images/kodim23.png": b"mine"}


def test_a_full_disk_is_reported_by_path_and_the_decode_resumes(job, tmp_path):
    with full_disk(200), pytest.raises(OutputError, match=r"images/kodim09\.png"):
        decode_shards(job, tiny_tokenizer(), tmp_path)
    assert contents(tmp_path).keys() == {NOTE}
    assert len(decode_shards(job, tiny_tokenizer(), tmp_path)) == 4


@pytest.mark.parametrize(
    ("stored", "rate"),
    [
        (None, Fraction(25)),
        (30000 / 1001, Fraction(30000, 1001)),
        (12.5, Fraction(25, 2)),
        (1 / 600, Fraction(1, 600)),
        (1 / 3000, Fraction(1, 3000)),
        (1001 / 30000, Fraction(1001, 30000)),
    ],
)
def test_frame_rates_come_back_as_the_fractions_that_they_were(stored, rate):
    assert decode._frame_rate(stored) == rate


def test_a_clip_of_one_frame_in_fifty_minutes_keeps_its_rate(tmp_path):
    tokenizer, source = tiny_tokenizer("video"), tmp_path / "slow.mp4"
    frames = [torch.full((3, 32, 32), 40 * t, dtype=torch.uint8) for t in range(5)]
    write.write_video(source, frames, Fraction(1, 3000))
    encode_source(source, tokenizer, tmp_path / "job", size=32, frames=5)
    (path,) = decode_shards(tmp_path / "job", tokenizer, tmp_path / "out")
    assert probe_video(path).fps == probe_video(source).fps == Fraction(1, 3000)
