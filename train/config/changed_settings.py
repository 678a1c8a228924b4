"""Notes on settings that changed in the middle of a run, kept at the top of its config.yaml.

They are comments, one line of JSON each, so that every reader of configs ignores them. Settings and
notes are written in one piece: a kill loses neither.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from ...json_file import STRICT, parse_json
from ...output_file import dumps
from .resume_rules import Settings, differences

_TITLE = "# Settings that changed during the run: old and new value, and the step after which."
_MARK = '# {"step"'


@dataclass(frozen=True)
class ChangedSetting:
    """A setting that changed during a run.

    Attributes:
        step: the last step with the old value.
        key: path of the setting, such as `train.lr`.
        before: the old value; None where it was not set.
        after: the new value, likewise.
    """

    __pydantic_config__ = STRICT

    step: int
    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key}: {self.before!r} -> {self.after!r}"


def changes_after(step: int, before: Settings, now: Settings) -> list[ChangedSetting]:
    """Return the settings that differ and are not free, as changes after a step."""
    return [
        ChangedSetting(step, key, old, new) for key, (old, new) in differences(before, now).items()
    ]


def read_changes(config: Path) -> list[ChangedSetting]:
    """Read the notes at the top of a run's config, oldest first; empty if nothing changed.

    Raises:
        ValueError: a note is damaged; names its line.
    """
    if not config.exists():
        return []
    lines = config.read_text(encoding="utf-8").splitlines()
    comments = takewhile(lambda line: line.startswith("#"), lines)
    return [
        parse_json(line[2:].encode(), ChangedSetting, f"{config}: the note in line {number}")
        for number, line in enumerate(comments, start=1)
        if line.startswith(_MARK)
    ]


def changes_as_comments(changes: Sequence[ChangedSetting]) -> str:
    """Return the lines that belong at the top of config.yaml; nothing if nothing changed."""
    if not changes:
        return ""
    notes = [f"# {dumps(asdict(change), indent=None)}" for change in changes]
    return "\n".join([_TITLE, *notes]) + "\n"


def not_after(changes: Sequence[ChangedSetting], step: int) -> list[ChangedSetting]:
    """Return the changes of a run that resumes at a step: later ones now apply from there on."""
    return [replace(change, step=min(change.step, step)) for change in changes]


def last_change(changes: Sequence[ChangedSetting], key: str) -> int:
    """Return the step after which a setting changed last; 0 if it never did."""
    return max((change.step for change in changes if change.key == key), default=0)


def settings_at(settings: Settings, changes: Sequence[ChangedSetting], step: int) -> Settings:
    """Return the settings under which the checkpoint of a step was saved.

    Args:
        settings: those of now, by dotted path.
        changes: of the run, oldest first.
        step: of the checkpoint.
    """
    earlier = dict(settings)
    for change in reversed(changes):
        if change.step >= step:
            earlier[change.key] = change.before
    return earlier
