"""Statistics over the global batch: what one rank needs to know of the vectors on the others.

Outside a process group, and with a single rank, these functions hand their argument back.
"""

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> tuple[int, int]:
    """This rank and the number of ranks."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


@torch.no_grad()
def sum_over_ranks(x: Tensor) -> Tensor:
    """The sum of every rank's `x`, the same bits on all of them; no gradient."""
    if world()[1] == 1:
        return x
    total = x.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_ranks(x: Tensor) -> Tensor:
    """The mean of every rank's `x`, differentiable.

    Every rank computes the same loss from it, and data parallel training averages the ranks'
    gradients. The gradient of that loss with respect to this rank's `x` is then handed back
    undivided: averaging divides it by the number of ranks, as the mean did.
    """
    ranks = world()[1]
    if ranks == 1:
        return x
    return x + (sum_over_ranks(x) / ranks - x).detach()
