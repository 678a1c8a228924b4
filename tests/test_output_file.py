"""What is written takes the place of the old in one go: an interrupted writer leaves the old."""

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


def _write_and_be_interrupted(target: Path) -> None:
    with replaced_folder(target) as partial:
        (partial / "config").write_text("new")
        raise KeyboardInterrupt
