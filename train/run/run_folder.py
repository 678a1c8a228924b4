"""The folder of a run: its files, and the rule that no other run is overwritten."""

import json
from pathlib import Path

from ...component import validate
from ...config import Tree, dump, flatten, load_config
from ...output_file import write_text_whole
from ..config.run_config import KEYS_FREE_ON_RESUME, RunConfig
from .checkpoint import checkpoint_name, checkpoint_step, checkpoints

# Beside the finished tokenizer, {"step": the last one}: an extended run keeps the old tokenizer
# until the new one replaces it.
FINISHED_NOTE = "finished.json"


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
        """Return the checkpoint to resume from, if there is one."""
        return max(checkpoints(self.checkpoints), default=None)

    def sample_grid(self, step: int) -> Path:
        """Return the file of a step's sample grid."""
        return self.samples / f"step-{step:08d}.png"

    def finished(self, steps: int) -> bool:
        """Return whether the run has reached its last step and exported that step's tokenizer."""
        newest = self.newest_checkpoint()
        if newest is None or newest.name != checkpoint_name(steps):
            return False
        note = self.tokenizer / FINISHED_NOTE
        return note.is_file() and json.loads(note.read_text(encoding="utf-8"))["step"] == steps

    def prepare(self, config: Tree) -> list[str]:
        """Check the folder, as `check` does, and claim it; a refusal changes nothing in it."""
        notes = self.check(config)
        self.claim(config)
        return notes

    def check(self, config: Tree) -> list[str]:
        """Raise unless the folder is empty or missing, or holds the same run.

        Returns:
            Notes about settings that changed since the run was started.

        Raises:
            ValueError: the folder holds another run, one with more steps than are asked for now, or
                something else altogether.
        """
        if self.config.exists():
            return self._compare(config)
        if self.root.exists() and any(self.root.iterdir()):
            raise ValueError(
                f"output folder {self.root} is not empty and does not hold a run; "
                "choose another --output, or empty it yourself"
            )
        return []

    def claim(self, config: Tree) -> None:
        """Create the folder, with the run's config and the folders of its results."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_text_whole(self.config, dump(config))
        self.samples.mkdir(exist_ok=True)
        self.checkpoints.mkdir(exist_ok=True)

    def _compare(self, config: Tree) -> list[str]:
        before, now = flatten(stored_config(self.config).to_tree()), flatten(config)
        changed = [
            f"{key}: {before.get(key)!r} -> {now.get(key)!r}"
            for key in sorted({*before, *now})
            if before.get(key) != now.get(key) and not key.startswith(KEYS_FREE_ON_RESUME)
        ]
        newest = self.newest_checkpoint()
        if newest is None:
            return [f"{change} (nothing was trained yet)" for change in changed]
        only_steps = all(change.startswith("train.steps:") for change in changed)
        if changed and not only_steps:
            raise ValueError(
                f"output folder {self.root} holds a run with other settings:\n  "
                + "\n  ".join(changed)
                + "\nchoose another --output, or start with the same settings to resume it"
            )
        if now["train.steps"] < checkpoint_step(newest):
            raise ValueError(
                f"train.steps={now['train.steps']} lies before the run's checkpoint of step "
                f"{checkpoint_step(newest)}; choose another --output to train a shorter run"
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
