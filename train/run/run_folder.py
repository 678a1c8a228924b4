"""The folder of a run: its files, and the rule that no other run is overwritten."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...component import validate
from ...config import Tree, dump, flatten, load_config
from ...folder_lock import holds_nothing
from ...json_file import STRICT, read_json
from ...output_file import write_text_whole
from ..config.changed_settings import (
    ChangedSetting,
    changes_after,
    changes_as_comments,
    not_after,
    read_changes,
)
from ..config.resume_rules import LENGTH, Settings, covers
from ..config.run_config import RunConfig
from .checkpoint import checkpoint_name, checkpoint_step, checkpoints
from .resume_check import check_changes

log = logging.getLogger(__name__)

FINISHED_NOTE = "finished.json"


@dataclass(frozen=True)
class FinishedNote:
    """The note beside a finished tokenizer: an extended run keeps the old one until it is replaced.

    Attributes:
        step: the last step of the run.
    """

    __pydantic_config__ = STRICT

    step: int


class RunFolder:
    """Files and folders of a run.

    Args:
        root: the output folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.yaml"
        self.metrics = root / "metrics.jsonl"
        self.checkpoints = root / "checkpoints"
        self.samples = root / "samples"
        self.tokenizer = root / "tokenizer"
        self.best = root / "best"

    def newest_checkpoint(self) -> Path | None:
        """Return the checkpoint of the last step, if there is one."""
        return next(reversed(checkpoints(self.checkpoints)), None)

    def checkpoint(self, step: int) -> Path:
        """Return the checkpoint of a step.

        Raises:
            ValueError: the run has no such checkpoint; names those it has.
        """
        path = self.checkpoints / checkpoint_name(step)
        known = checkpoints(self.checkpoints)
        if path not in known:
            steps = ", ".join(str(checkpoint_step(p)) for p in known) or "none"
            raise ValueError(
                f"{self.checkpoints} has no checkpoint of step {step}; its checkpoints: {steps}"
            )
        return path

    def sample_grid(self, step: int) -> Path:
        """Return the file of a step's sample grid."""
        return self.samples / f"step-{step:08d}.png"

    def finished(self, steps: int) -> bool:
        """Return whether the run has reached its last step and exported that step's tokenizer.

        Raises:
            ValueError: the note beside the tokenizer is damaged.
        """
        newest = self.newest_checkpoint()
        if newest is None or checkpoint_step(newest) != steps:
            return False
        note = self.tokenizer / FINISHED_NOTE
        return note.is_file() and read_json(note, FinishedNote).step == steps

    def check(
        self, config: Tree, from_checkpoint: int | None = None, allow_change: Sequence[str] = ()
    ) -> Path | None:
        """Raise unless the folder is empty or missing, or holds the same run.

        Settings that changed since the run was started are warned about.

        Args:
            config: the resolved config.
            from_checkpoint: step to resume from; None resumes from the newest checkpoint.
            allow_change: settings, or sections of settings, that may differ from those of the run.

        Returns:
            The checkpoint to resume from; None where nothing was saved yet.

        Raises:
            ValueError: the folder holds another run, one with more steps than are asked for now, or
                something else altogether; or there is no checkpoint of that step; or a setting that
                may change did not, or cannot change (see `resume_rules`).
        """
        if from_checkpoint is None:
            resume = self.newest_checkpoint()
        else:
            resume = self.checkpoint(from_checkpoint)
        if allow_change and resume is None:
            raise ValueError(
                f"--allow-change {allow_change[0]}: {self.root} has no checkpoint yet, so every "
                "setting may change; leave the option out"
            )
        if not self.config.exists():
            if not holds_nothing(self.root):
                raise ValueError(
                    f"output folder {self.root} is not empty and does not hold a run; "
                    "choose another --output, or empty it yourself"
                )
        elif resume is None:
            for change in self._changes(config, 0):
                log.warning("%s (nothing was trained yet)", change)
        else:
            changes = check_changes(
                str(self.root),
                before=self._stored(),
                now=flatten(config),
                step=checkpoint_step(resume),
                notes=self.changes(),
                allow_change=allow_change,
            )
            if allow_change and changes and from_checkpoint is None:
                self._raise_if_finished(config)
            for change in changes:
                length = " (the learning-rate schedule follows the new length)"
                log.warning("%s%s", change, length if change.key == LENGTH else "")
        return resume

    def claim(self, config: Tree, resume: Path | None = None) -> None:
        """Create the folder, with the run's config and the folders of its results.

        Args:
            config: the resolved config.
            resume: the checkpoint that the run resumes from, with settings that `check` accepted.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        notes: list[ChangedSetting] = []
        if resume is not None:
            step = checkpoint_step(resume)
            notes = [*not_after(self.changes(), step), *self._changes(config, step)]
        write_text_whole(self.config, changes_as_comments(notes) + dump(config))
        self.samples.mkdir(exist_ok=True)
        self.checkpoints.mkdir(exist_ok=True)

    def changes(self) -> list[ChangedSetting]:
        """Return the settings that changed during the run, oldest first."""
        return read_changes(self.config)

    def as_finished(
        self, config: RunConfig, allow_change: Sequence[str]
    ) -> tuple[RunConfig, set[str]]:
        """Return the config of a finished run, which keeps its settings where others may change.

        Args:
            config: the resolved config.
            allow_change: see `check`.

        Returns:
            The run's own config where it differs only in what may change, otherwise the given one;
            and those of `allow_change` that differ.
        """
        differing = [change.key for change in self._changes(config.to_tree(), 0)]
        used = {key for key in allow_change if any(covers(key, name) for name in differing)}
        if not used or not all(any(covers(key, name) for key in used) for name in differing):
            return config, used
        return stored_config(self.config), used

    def _changes(self, config: Tree, step: int) -> list[ChangedSetting]:
        """Return what differs from the stored config, as changes after a step."""
        return changes_after(step, self._stored(), flatten(config)) if self.config.exists() else []

    def _stored(self) -> Settings:
        """Return the settings of the stored config."""
        return flatten(stored_config(self.config).to_tree())

    def _raise_if_finished(self, config: Tree) -> None:
        """Raise if no step is left to which changed settings could apply."""
        steps = config["train"]["steps"]
        if self.finished(steps):
            raise ValueError(
                f"{self.root} is finished after step {steps}, so changed settings have no effect; "
                "raise train.steps as well, or leave --allow-change out"
            )


def stored_config(path: Path) -> RunConfig:
    """Read the config that a run wrote; settings newer than the run have their defaults.

    Raises:
        ValueError: this version cannot read it.
    """
    try:
        return validate(RunConfig, load_config(path))
    except ValueError as error:
        raise ValueError(
            f"{path} is not a run config that this version of vistok can read; use the version "
            f"that wrote it, or another folder:\n{error}"
        ) from error
