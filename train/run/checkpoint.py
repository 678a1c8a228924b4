"""Checkpoints: everything a run needs to go on exactly where it stopped, written atomically.

A checkpoint is a folder `step-00001000` with `state.pt` (both networks, their optimizers, averages)
and `config.yaml`. It is written under another name and renamed when it is whole, so a run killed at
any moment leaves only whole checkpoints behind. Random numbers need no state: they are functions of
seed, step and rank.
"""

import shutil
from pathlib import Path
from typing import Any

import torch

from ...config import Tree, dump
from ...output_file import replaced_folder

State = dict[str, Any]


def checkpoint_name(step: int) -> str:
    """The folder of a step's checkpoint."""
    return f"step-{step:08d}"


def checkpoint_step(path: Path) -> int:
    """The step of a checkpoint's folder."""
    return int(path.name.removeprefix("step-"))


def save_checkpoint(
    folder: Path, state: State, config: Tree, keep_last: int, spared: int | None = None
) -> Path:
    """Write the checkpoint of `state["step"]` and drop all but the newest ones and a spared one."""
    target = folder / checkpoint_name(state["step"])
    with replaced_folder(target) as partial:
        torch.save(state, partial / "state.pt")
        (partial / "config.yaml").write_text(dump(config), encoding="utf-8")
    kept = {path.name for path in checkpoints(folder)[-keep_last:]}
    if spared is not None:
        kept.add(checkpoint_name(spared))
    for old in checkpoints(folder):
        if old.name not in kept:
            shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(folder.glob("step-*"))


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint's state; nothing in it is unpickled beyond tensors and plain values."""
    return torch.load(path / "state.pt", map_location="cpu", weights_only=True)
