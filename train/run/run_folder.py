"""The folder of a run, and the rule that nothing of another run is overwritten."""

import json
from pathlib import Path

from ...component import validate
from ...config import Tree, dump, flatten, load_config
from ...output_file import write_text_whole
from ..config.run_config import KEYS_FREE_ON_RESUME, RunConfig
from .checkpoint import checkpoint_name, checkpoint_step, checkpoints

# Beside the finished tokenizer, {"step": its last one}: a run that is extended keeps the old
# tokenizer until the new one takes its place.
FINISHED_NOTE = "finished.json"


class RunFolder:
    """Paths of a run.

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
        """The checkpoint to go on from, if there is one."""
        return max(checkpoints(self.checkpoints), default=None)

    def finished(self, steps: int) -> bool:
        """Whether the run has come to its end, with the tokenizer of its last step."""
        newest = self.newest_checkpoint()
        if newest is None or newest.name != checkpoint_name(steps):
            return False
        note = self.tokenizer / FINISHED_NOTE
        return note.is_file() and json.loads(note.read_text(encoding="utf-8"))["step"] == steps

    def claim(self, config: Tree) -> list[str]:
        """Take the folder for a run, or take it up again; what is refused changes nothing in it.

        Returns:
            Notes about settings that changed since the run was started.

        Raises:
            ValueError: the folder holds another run, more steps of this one than it is to have, or
                something else altogether.
        """
        notes: list[str] = []
        if self.config.exists():
            notes = self._compare(config)
        elif self.root.exists() and any(self.root.iterdir()):
            raise ValueError(
                f"output folder {self.root} is not empty and holds no run; "
                "choose another --output, or empty it yourself"
            )
        self.root.mkdir(parents=True, exist_ok=True)
        write_text_whole(self.config, dump(config))
        self.samples.mkdir(exist_ok=True)
        self.checkpoints.mkdir(exist_ok=True)
        return notes

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
    """The config that a run wrote; settings that are newer than the run have their defaults.

    Raises:
        ValueError: it is no config that this version can read.
    """
    try:
        return validate(RunConfig, load_config(path))
    except ValueError as error:
        raise ValueError(
            f"{path} is no run config that this version of vistok can read; take the version that "
            f"wrote it, or another folder:\n{error}"
        ) from error
