"""Checkpoints: everything needed to resume a run exactly, written atomically.

A checkpoint is a folder `step-00001000` with `state.pt` (both networks, their optimizers, averages)
and `config.yaml`. It is written under another name and renamed when it is complete, so a run killed
at any moment leaves only complete checkpoints behind. Random numbers need no state: they are
functions of seed, step and rank.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

import torch

from ...config import Tree, dump
from ...output_file import replaced_folder

log = logging.getLogger(__name__)

State = dict[str, Any]


def checkpoint_name(step: int) -> str:
    """Return the folder name of a step's checkpoint."""
    return f"step-{step:08d}"


def checkpoint_step(path: Path) -> int:
    """Return the step of a checkpoint's folder."""
    return int(path.name.removeprefix("step-"))


def save_checkpoint(
    folder: Path, state: State, config: Tree, *, keep_last: int, protect_step: int | None = None
) -> Path:
    """Write the checkpoint of `state["step"]`, and delete old ones.

    Args:
        folder: of all checkpoints of the run.
        state: see `RunState.state_dict`, with the step and the number of processes.
        config: the resolved config.
        keep_last: number of newest checkpoints to keep.
        protect_step: step of a checkpoint that is kept as well.
    """
    target = folder / checkpoint_name(state["step"])
    with replaced_folder(target) as partial:
        torch.save(state, partial / "state.pt")
        (partial / "config.yaml").write_text(dump(config), encoding="utf-8")
    keep = {path.name for path in checkpoints(folder)[-keep_last:]}
    if protect_step is not None:
        keep.add(checkpoint_name(protect_step))
    for old in checkpoints(folder):
        if old.name not in keep:
            shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Return all complete checkpoints, oldest first."""
    return sorted(folder.glob("step-*"))


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint's state; only tensors and plain values are unpickled."""
    return torch.load(path / "state.pt", map_location="cpu", weights_only=True)


def check_world_size(state: State, world_size: int) -> None:
    """Warn if the resumed run will differ from an uninterrupted one."""
    if world_size != state["world_size"]:
        log.warning(
            "this run had %d process(es) before and resumes with %d: from here on its batches "
            "differ from those of an uninterrupted run",
            state["world_size"],
            world_size,
        )
