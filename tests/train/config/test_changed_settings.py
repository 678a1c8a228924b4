"""Notes on changed settings at the top of config.yaml: written, read back, never half believed."""

import pytest
import yaml

from vistok.train.config.changed_settings import (
    ChangedSetting,
    changes_as_comments,
    last_change,
    not_after,
    read_changes,
    settings_at,
)

NOTES = [
    ChangedSetting(10, "data.source", "a -> b\nc # d", [{"source": "e", "weight": 1.0}]),
    ChangedSetting(20, "train.lr", 1e-4, 1e-5),
    ChangedSetting(30, "train.lr", 1e-5, None),
]


def test_notes_are_read_back_as_they_were_written(tmp_path):
    path = tmp_path / "config.yaml"
    assert read_changes(path) == []
    path.write_text(changes_as_comments(NOTES) + 'a: 1\n# {"step": below the notes\n')
    assert read_changes(path) == NOTES
    assert yaml.safe_load(path.read_text()) == {"a": 1}
    assert changes_as_comments([]) == ""


@pytest.mark.parametrize("note", ['{"step": 1', '{"step": "1", "key": "a"}', '{"step": 1}'])
def test_a_damaged_note_is_named_with_its_line(tmp_path, note):
    path = tmp_path / "config.yaml"
    path.write_text(f"# title\n# {note}\na: 1\n")
    with pytest.raises(ValueError, match=r"config.yaml: the note in line 2 is damaged"):
        read_changes(path)


def test_a_checkpoint_has_the_settings_from_before_later_changes():
    now = {"train.lr": None, "data.source": "x"}
    assert settings_at(now, NOTES, 30)["train.lr"] == 1e-5
    assert settings_at(now, NOTES, 31) == now
    assert settings_at(now, NOTES, 20) == {"train.lr": 1e-4, "data.source": "x"}
    assert [note.step for note in not_after(NOTES, 20)] == [10, 20, 20]
    assert last_change(NOTES, "train.lr") == 30
    assert last_change(NOTES, "train.steps") == 0
