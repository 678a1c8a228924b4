"""The processes of `torchrun`: joined for the length of a block."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist


@contextmanager
def torchrun_processes(device: str) -> Iterator[str]:
    """Join the other processes, if torchrun started any, and say where this one runs.

    Args:
        device: cpu, or cuda for the accelerator of this process's local rank.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield device
        return
    backend = "gloo"
    if torch.device(device).type == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend)
    try:
        yield device
    finally:
        dist.destroy_process_group()
