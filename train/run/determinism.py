"""Deterministic algorithms for the length of a run, so that GPUs compute the same bits each time.

Some GPU kernels add in the order in which their threads happen to finish. torch has other, slower
kernels for most of them and raises for the rest; cuDNN may choose among algorithms by timing them;
cuBLAS needs a workspace of a fixed size, which it reads from the environment when CUDA starts. On a
CPU nothing changes: its kernels are deterministic for a fixed number of threads.
"""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch.backends import cudnn

from ..config.run_config import RunConfig

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def deterministic_where_set(
    work: Callable[Concatenate[RunConfig, Arguments], Result],
) -> Callable[Concatenate[RunConfig, Arguments], Result]:
    """Let a function of a run use deterministic algorithms where `train.deterministic` is set."""

    @functools.wraps(work)
    def wrapped(config: RunConfig, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if not config.train.deterministic:
            return work(config, *args, **kwargs)
        with deterministic_algorithms():
            return work(config, *args, **kwargs)

    return wrapped


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Allow deterministic algorithms only, and restore torch's settings afterwards.

    Raises:
        ValueError: CUDA has already started without a fixed workspace.
    """
    mode = torch.get_deterministic_debug_mode()
    settings = cudnn.deterministic, cudnn.benchmark
    with _fixed_workspace():
        try:
            torch.use_deterministic_algorithms(True)
            cudnn.deterministic, cudnn.benchmark = True, False
            yield
        finally:
            torch.set_deterministic_debug_mode(mode)
            cudnn.deterministic, cudnn.benchmark = settings


@contextmanager
def _fixed_workspace() -> Iterator[None]:
    """Set cuBLAS's workspace in the environment, where it is not set already."""
    if WORKSPACE in os.environ:
        yield
        return
    if torch.cuda.is_initialized():
        raise ValueError(
            f"train.deterministic=true needs the environment variable {WORKSPACE}=:4096:8 before "
            "CUDA starts, which this process has done already: set it and start again"
        )
    os.environ[WORKSPACE] = ":4096:8"
    try:
        yield
    finally:
        # A workspace that CUDA has started with stays until the process ends.
        if not torch.cuda.is_initialized():
            del os.environ[WORKSPACE]
