"""Checkpoints: everything a run needs to go on exactly where it stopped, written atomically.

A checkpoint is a folder `step-00001000` with `state.pt` (weights, optimizer, EMA) and
`config.yaml`. It is written under another name and renamed when it is whole, so a run killed at any
moment leaves only whole checkpoints behind. Random numbers need no state: they are functions of
seed, step and rank.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from ..config import Tree, dump

State = dict[str, Any]


def save_checkpoint(folder: Path, step: int, state: State, config: Tree, keep_last: int) -> Path:
    """Write the checkpoint of a step and drop all but the newest ones."""
    target = folder / f"step-{step:08d}"
    partial = folder / f".partial-{target.name}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    torch.save(state, partial / "state.pt")
    (partial / "config.yaml").write_text(dump(config), encoding="utf-8")
    for path in (*partial.iterdir(), partial):
        _sync(path)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    _sync(folder)
    for old in checkpoints(folder)[:-keep_last]:
        shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(folder.glob("step-*"))


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint's state; nothing in it is unpickled beyond tensors and plain values."""
    return torch.load(path / "state.pt", map_location="cpu", weights_only=True)


def _sync(path: Path) -> None:
    """Make sure that a file or folder has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
