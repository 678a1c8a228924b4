"""The folder of a run: its files, and the rule that no other run is overwritten."""

import logging
from dataclasses import dataclass
from pathlib import Path

from ...component import validate
from ...config import Tree, dump, flatten, load_config
from ...folder_lock import holds_nothing
from ...json_file import STRICT, read_json
from ...output_file import write_text_whole
from ..config.run_config import KEYS_FREE_ON_RESUME, RunConfig
from .checkpoint import checkpoint_name, checkpoint_step, checkpoints

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

    def open(self, config: Tree, from_checkpoint: int | None = None) -> Path | None:
        """Check the folder, and claim it; see `check`. A refusal changes nothing in it."""
        resume = self.check(config, from_checkpoint)
        self.claim(config)
        return resume

    def check(self, config: Tree, from_checkpoint: int | None = None) -> Path | None:
        """Raise unless the folder is empty or missing, or holds the same run.

        Settings that changed since the run was started are warned about.

        Args:
            config: the resolved config.
            from_checkpoint: step to resume from; None resumes from the newest checkpoint.

        Returns:
            The checkpoint to resume from; None where nothing was saved yet.

        Raises:
            ValueError: the folder holds another run, one with more steps than are asked for now, or
                something else altogether; or there is no checkpoint of that step.
        """
        if from_checkpoint is None:
            resume = self.newest_checkpoint()
        else:
            resume = self.checkpoint(from_checkpoint)
        if self.config.exists():
            for note in self._compare(config, resume):
                log.warning("%s", note)
        elif not holds_nothing(self.root):
            raise ValueError(
                f"output folder {self.root} is not empty and does not hold a run; "
                "choose another --output, or empty it yourself"
            )
        return resume

    def claim(self, config: Tree) -> None:
        """Create the folder, with the run's config and the folders of its results."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_text_whole(self.config, dump(config))
        self.samples.mkdir(exist_ok=True)
        self.checkpoints.mkdir(exist_ok=True)

    def _compare(self, config: Tree, resume: Path | None) -> list[str]:
        before, now = flatten(stored_config(self.config).to_tree()), flatten(config)
        changed = [
            f"{key}: {before.get(key)!r} -> {now.get(key)!r}"
            for key in sorted({*before, *now})
            if before.get(key) != now.get(key) and not key.startswith(KEYS_FREE_ON_RESUME)
        ]
        if resume is None:
            return [f"{change} (nothing was trained yet)" for change in changed]
        only_steps = all(change.startswith("train.steps:") for change in changed)
        if changed and not only_steps:
            raise ValueError(
                f"output folder {self.root} holds a run with other settings:\n  "
                + "\n  ".join(changed)
                + "\nchoose another --output, or start with the same settings to resume it"
            )
        if now["train.steps"] < checkpoint_step(resume):
            raise ValueError(
                f"train.steps={now['train.steps']} lies before the run's checkpoint of step "
                f"{checkpoint_step(resume)}; choose another --output to train a shorter run"
            )
        return [
            f"{change} (the learning-rate schedule follows the new length)" for change in changed
        ]


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
