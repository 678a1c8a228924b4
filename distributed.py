"""Process groups: joining one, and reductions over its ranks.

Outside a process group, and with a single rank, the reductions return their argument.
"""

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

Item = TypeVar("Item")


def rank_and_world_size() -> tuple[int, int]:
    """Return this rank and the number of ranks."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


@torch.no_grad()
def all_reduce_sum(x: Tensor) -> Tensor:
    """Return the sum of all ranks' `x`, bit-identical on all of them; no gradient."""
    if rank_and_world_size()[1] == 1:
        return x
    # NCCL cannot reduce tensors in host memory
    device = torch.device("cuda") if dist.get_backend() == "nccl" else x.device
    total = x.detach().to(device, copy=True)
    dist.all_reduce(total)
    return total.to(x.device)


def all_gather_object(value: Item) -> list[Item]:
    """Return all ranks' values (which must be picklable) in the order of the ranks."""
    ranks = rank_and_world_size()[1]
    if ranks == 1:
        return [value]
    values: list = [None] * ranks
    dist.all_gather_object(values, value)
    return values


def broadcast_object(value: Item) -> Item:
    """Return the main process's value (which must be picklable) on every rank."""
    if rank_and_world_size()[1] == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def run_on_main_process(work: Callable[[], Item]) -> Item:
    """Call a function on the main process; every rank returns its result or raises its error."""
    answer: tuple[list[Item], Exception | None] = [], None
    if rank_and_world_size()[0] == 0:
        try:
            answer = [work()], None
        except Exception as error:
            answer = [], error
    (result, error) = broadcast_object(answer)
    if error is not None:
        raise error
    return result[0]


def run_on_every_rank(work: Callable[[], Item]) -> Item:
    """Call a function without collective calls on every rank; if one fails, all raise its error."""
    result, failure = None, None
    try:
        result = work()
    except Exception as error:
        failure = error
    first = next((e for e in all_gather_object(_picklable(failure)) if e is not None), None)
    if failure is not None:
        raise failure
    if first is not None:
        raise first
    return cast(Item, result)


def _picklable(error: Exception | None) -> Exception | None:
    """Return an error that can be sent to other processes."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def all_reduce_mean(x: Tensor) -> Tensor:
    """Return the mean of all ranks' `x`, differentiably.

    Every rank computes the same loss from it, and data parallel training averages the ranks'
    gradients. The gradient of that loss with respect to this rank's `x` is therefore returned
    undivided: averaging divides it by the number of ranks, as the mean did.
    """
    ranks = rank_and_world_size()[1]
    if ranks == 1:
        return x
    return x + (all_reduce_sum(x) / ranks - x).detach()


@contextmanager
def torchrun_processes(device: str) -> Iterator[str]:
    """Join the other processes, if torchrun started any, and yield this one's device.

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
    yield device
    # Not after a failure: with NCCL, leaving waits for the other ranks.
    dist.destroy_process_group()
