"""Trackers beside metrics.jsonl: TensorBoard, and Weights & Biases where it is installed."""

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate import Accelerator

PROJECT = "vistok"


def check_trackers(names: Sequence[str]) -> None:
    """Raise at the first tracker that is not installed; accelerate would leave it out."""
    for name in names:
        if find_spec(name) is None:
            raise ValueError(
                f"train.trackers names {name}, which is not installed: pip install "
                f"'vistok[{name}]', or remove it from train.trackers"
            )


def start_trackers(accelerator: Accelerator, start_step: int, run: Path) -> None:
    """Open all trackers, hiding what a killed run had logged beyond its checkpoint.

    Args:
        accelerator: was given their names.
        start_step: the step that the run resumes from.
        run: folder of the run, whose name Weights & Biases shows.
    """
    options: dict[str, Any] = {
        "tensorboard": {"purge_step": start_step + 1},
        "wandb": {"name": run.name, "id": _run_id(run), "resume": "allow", "dir": str(run)},
    }
    accelerator.init_trackers(PROJECT, init_kwargs=options)


def _run_id(run: Path) -> str:
    """Return an id that is the same for every start of a run and different for every folder."""
    return hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:16]


def close_trackers(accelerator: Accelerator) -> None:
    """Flush all trackers; the processes stay together, as another stage may follow."""
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.wait_for_everyone()
