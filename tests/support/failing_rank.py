"""`vistok train` as one of torchrun's processes, of which one fails at its second step.

torchrun --nproc-per-node 2 failing_rank.py HOW ARGUMENTS...
"""

import os
import sys
from itertools import count

import torch

import vistok.train.steps as train_steps
from vistok.cli.app import main

to_pixels, steps = train_steps.to_pixels, count(1)


def broken(clips: torch.Tensor) -> torch.Tensor:
    """Pixels that are NaN, or do not fit into memory, at the second step of one rank."""
    pixels, is_second = to_pixels(clips), next(steps) == 2
    if is_second and (how, os.environ["RANK"]) == ("nan", "1"):
        return pixels * torch.nan
    if is_second and (how, os.environ["RANK"]) == ("memory", "0"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")
    return pixels


if __name__ == "__main__":
    how = sys.argv.pop(1)
    train_steps.to_pixels = broken
    main()
