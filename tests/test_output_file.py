"""What is written takes the place of the old in one go: an interrupted writer leaves the old."""

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest

from commands import run_process
from full_disk import full_disk
from vistok.output_file import (
    OutputError,
    file_sha256,
    replaced_file,
    replaced_folder,
    write_text_whole,
)


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "table.parquet"
    for content in (b"first", b"second"):
        with replaced_file(target) as partial:
            assert partial.suffix == ".parquet", "libraries choose formats by it"
            partial.write_bytes(content)
            assert not target.exists() or target.read_bytes() == b"first"
    assert target.read_bytes() == b"second"
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


def test_writers_that_share_a_file_write_at_the_same_time(tmp_path):
    target = tmp_path / "cache.bin"
    with replaced_file(target, shared=True) as one:
        one.write_bytes(b"one")
        with replaced_file(target, shared=True) as other:
            other.write_bytes(b"other")
            assert one.read_bytes() == b"one"
        assert target.read_bytes() == b"other"
    assert target.read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["cache.bin"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "table.parquet"
    target.write_bytes(b"old")
    with pytest.raises(error):
        _fail_halfway(target, error)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


def test_a_killed_writer_leaves_the_old_file_and_the_next_one_is_not_disturbed(tmp_path):
    target = tmp_path / "notes.txt"
    write_text_whole(target, "old")
    program = (
        "import os, sys; from pathlib import Path; from vistok.output_file import replaced_file\n"
        "with replaced_file(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half of it'); os.kill(os.getpid(), 9)"
    )
    killed = run_process([sys.executable, "-c", program, target])
    assert killed.returncode == -9
    assert target.read_text() == "old"
    write_text_whole(target, "new")
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_content_of_a_file_is_on_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    target, synced = tmp_path / "notes.txt", []

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, target.exists()))

    monkeypatch.setattr("vistok.output_file.os.fsync", fsync)
    write_text_whole(target, "new")
    assert synced == [(target.stat().st_ino, False)]


def test_a_full_disk_is_reported_with_the_path_of_the_result(tmp_path):
    target = tmp_path / "table.parquet"
    target.write_bytes(b"old")
    with full_disk(100), pytest.raises(OutputError, match=r"table\.parquet") as caught:
        write_text_whole(target, "x" * 1000)
    assert caught.value.filename == str(target)
    assert caught.value.errno == errno.EFBIG
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


@pytest.mark.parametrize("name", ["x" * 251 + ".png", "\u00fc" * 125 + ".png"])
def test_the_longest_names_can_be_replaced_too(tmp_path, name):
    write_text_whole(tmp_path / name, "whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "tokenizer"
    for text in ("first", "second"):
        with replaced_folder(target) as partial:
            (partial / text).write_text(text)
    assert [path.name for path in target.iterdir()] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer"]


def test_an_interrupted_writer_leaves_the_old_folder_and_the_next_one_begins_afresh(tmp_path):
    target = tmp_path / "tokenizer"
    with replaced_folder(target) as partial:
        (partial / "weights").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        _write_and_be_interrupted(target)
    assert (target / "weights").read_text() == "old"
    with replaced_folder(target) as partial:
        assert not list(partial.iterdir())
    assert not list(target.iterdir())


def test_a_kill_while_the_old_folder_is_removed_leaves_the_new_one_whole(tmp_path, monkeypatch):
    target = tmp_path / "tokenizer"
    _write(target, "old")
    rmtree = shutil.rmtree

    def killed_halfway(folder, **options):
        if (Path(folder) / "weights").exists():
            (Path(folder) / "weights").unlink()
            raise KeyboardInterrupt
        rmtree(folder, **options)

    monkeypatch.setattr("vistok.output_file.shutil.rmtree", killed_halfway)
    with pytest.raises(KeyboardInterrupt):
        _write(target, "new")
    assert sorted(file.name for file in target.iterdir()) == ["config", "weights"]
    assert (target / "weights").read_text() == "new"
    monkeypatch.undo()
    _write(target, "newer")
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer"], "nothing is left over"


def test_a_kill_between_the_renames_costs_nothing_once_it_is_written_again(tmp_path):
    target, aside = tmp_path / "tokenizer", tmp_path / ".old-tokenizer"
    _write(target, "old")
    target.rename(aside)
    with pytest.raises(KeyboardInterrupt):
        _write_and_be_interrupted(target)
    assert (target / "weights").read_text() == "old"
    assert not aside.exists()


def _fail_halfway(target: Path, error: type[BaseException]) -> None:
    with replaced_file(target) as partial:
        partial.write_bytes(b"half")
        raise error


def _write(target: Path, text: str) -> None:
    with replaced_folder(target) as partial:
        (partial / "config").write_text(text)
        (partial / "weights").write_text(text)


def _write_and_be_interrupted(target: Path) -> None:
    with replaced_folder(target) as partial:
        (partial / "config").write_text("new")
        raise KeyboardInterrupt
