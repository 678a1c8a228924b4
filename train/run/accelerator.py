"""The accelerator of a run: its devices, precision, gradient accumulation and trackers."""

from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

from ..config.training import Train
from ..monitor.trackers import check_trackers


def build_accelerator(
    options: Train, device: str, tensorboard: Path, find_unused_parameters: bool
) -> Accelerator:
    """Set up accelerate for one run.

    Args:
        options: precision, accumulation and trackers of the run.
        device: auto leaves the choice to accelerate; cpu keeps the run off accelerators.
        tensorboard: folder of the TensorBoard files.
        find_unused_parameters: whether some parameters have no gradient at some steps.

    Raises:
        ValueError: the device is neither of the two, a tracker is not installed, or the device does
            not support the precision.
    """
    if device not in ("auto", "cpu"):
        raise ValueError(
            f"train runs on device auto or cpu, got {device!r}; to choose accelerators, "
            "set CUDA_VISIBLE_DEVICES or use accelerate launch"
        )
    check_trackers(options.trackers)
    data_parallel = DistributedDataParallelKwargs(
        find_unused_parameters=find_unused_parameters,
        # Codebooks move alike on all ranks; batch statistics may differ and are not read.
        broadcast_buffers=False,
    )
    _forget_previous_run()
    accelerator = Accelerator(
        # Set explicitly on CPU-only machines: accelerate would not join several CPU processes.
        cpu=device == "cpu" or not torch.accelerator.is_available(),
        mixed_precision=options.mixed_precision,
        gradient_accumulation_steps=options.accumulation_steps,
        log_with=list(options.trackers) or None,
        project_dir=tensorboard,
        kwargs_handlers=[data_parallel],
    )
    check_precision(accelerator)
    return accelerator


def check_precision(accelerator: Accelerator) -> None:
    """Raise a `ValueError` where accelerate would silently train in fp32 instead."""
    precision = accelerator.mixed_precision
    if precision != "no" and not accelerator.native_amp:
        raise ValueError(
            f"train.mixed_precision={precision} is not supported on {accelerator.device.type}; "
            "use bf16 or no"
        )


def _forget_previous_run() -> None:
    """Reset the state that all accelerators of a process share.

    It holds the mixed precision of the first one, so the second stage of a run could not choose
    another. accelerate has no public function for this that keeps the process group.
    """
    AcceleratorState._reset_state()
