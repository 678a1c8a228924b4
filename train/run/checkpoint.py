"""Checkpoints: everything needed to resume a run exactly, written atomically.

A checkpoint is a folder `step-00001000` with `state.pt` (both networks, their optimizers, averages)
and `config.yaml`. It is written under another name and renamed when it is complete, so a run killed
at any moment leaves only complete checkpoints behind. Random numbers need no state: they are
functions of seed, step and rank.

Before a checkpoint is used its files are compared with their checksums: `torch.load` alone would
load one with a flipped bit, and train on with other numbers.
"""

import logging
import re
import shutil
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ...checksums import compare_checksums, write_checksums
from ...config import Tree, dump
from ...distributed import run_on_main_process
from ...output_file import replaced_folder

log = logging.getLogger(__name__)

State = dict[str, Any]

CONFIG_FILE = "config.yaml"
STATE_FILE = "state.pt"
_NAME = re.compile(r"step-(\d{8,})")
_SET_ASIDE = "aside-"


class DamagedCheckpointError(ValueError):
    """A checkpoint whose files are not those that were saved."""


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

    Raises:
        OutputError: the disk is full.
    """
    target = folder / checkpoint_name(state["step"])
    with replaced_folder(target) as partial:
        (partial / CONFIG_FILE).write_text(dump(config), encoding="utf-8")
        # Given a path, torch does not tell why it could not write.
        with (partial / STATE_FILE).open("wb") as file:
            torch.save(state, file)
        write_checksums(partial, [partial / CONFIG_FILE, partial / STATE_FILE])
    keep = {path.name for path in checkpoints(folder)[-keep_last:]}
    if protect_step is not None:
        keep.add(checkpoint_name(protect_step))
    for old in checkpoints(folder):
        if old.name not in keep:
            shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Return all complete checkpoints, oldest first; other files and folders are ignored."""
    found = (path for path in folder.glob("step-*") if _NAME.fullmatch(path.name))
    return sorted(found, key=checkpoint_step)


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint's state; only tensors and plain values are unpickled.

    The main process compares the checksums, so all ranks must call this.

    Raises:
        DamagedCheckpointError: a file is missing, was changed, or holds something else; names the
            older checkpoints of the run.
    """
    try:
        run_on_main_process(lambda: compare_checksums(path, [CONFIG_FILE, STATE_FILE]))
        # Older versions wrote no checksums.
        return torch.load(path / STATE_FILE, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        reason = f"{STATE_FILE} holds more than tensors and plain values, which is not loaded"
        raise DamagedCheckpointError(_damage_message(path, reason)) from error
    except (EOFError, OSError, RuntimeError, ValueError) as error:
        raise DamagedCheckpointError(_damage_message(path, str(error))) from error


def set_aside_later(folder: Path, step: int) -> None:
    """Rename the checkpoints of later steps, so that a run resumes from an earlier one."""
    for later in checkpoints(folder):
        if checkpoint_step(later) > step:
            target = later.with_name(_SET_ASIDE + later.name)
            shutil.rmtree(target, ignore_errors=True)
            later.rename(target)
            log.warning("%s is set aside as %s; delete it at will", later, target.name)


def check_world_size(state: State, world_size: int) -> None:
    """Warn if the resumed run will differ from an uninterrupted one."""
    if world_size != state["world_size"]:
        log.warning(
            "this run had %d process(es) before and resumes with %d: from here on its batches "
            "differ from those of an uninterrupted run",
            state["world_size"],
            world_size,
        )


def _damage_message(path: Path, reason: str) -> str:
    step = checkpoint_step(path)
    older = [str(s) for s in map(checkpoint_step, checkpoints(path.parent)) if s < step]
    advice = (
        f"to resume from an older one, pass --from-checkpoint {' or '.join(reversed(older))}"
        if older
        else "there is no older one; restore it, or delete it to start from the beginning"
    )
    return f"checkpoint {path} is damaged: {reason.partition('. ')[0]}; {advice}"
