"""What is written takes the place of the old in one go: an interrupted writer leaves the old."""

import shutil
from pathlib import Path

import pytest

from vistok.output_file import replaced_folder


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


def _write(target: Path, text: str) -> None:
    with replaced_folder(target) as partial:
        (partial / "config").write_text(text)
        (partial / "weights").write_text(text)


def _write_and_be_interrupted(target: Path) -> None:
    with replaced_folder(target) as partial:
        (partial / "config").write_text("new")
        raise KeyboardInterrupt
