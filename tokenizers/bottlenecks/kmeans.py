"""k-means (Lloyd 1982) over the vectors of all ranks: where a learned codebook starts."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ...distributed import sum_over_ranks, world
from .nearest import nearest_codes

ITERATIONS = 10


@torch.no_grad()
def kmeans(x: Float[Tensor, "N dim"], num_codes: int) -> Float[Tensor, "K dim"]:
    """Centroids of the global batch, the same on every rank."""
    centroids = sampled_vectors(x, num_codes)
    for _ in range(ITERATIONS):
        counts, sums = code_sums(x, nearest_codes(x, centroids), num_codes)
        means = sums / counts.clamp_min(1).unsqueeze(1)
        # a centroid without vectors stays where it is
        centroids = torch.where(counts.unsqueeze(1) > 0, means, centroids)
    return centroids


@torch.no_grad()
def sampled_vectors(x: Float[Tensor, "N dim"], count: int) -> Float[Tensor, "count dim"]:
    """So many random vectors of the global batch, the same on every rank; repeated where too few.

    Every rank draws for its own slots from its own vectors, and adding them up puts them together.
    """
    rank, ranks = world()
    slots = torch.arange(rank, count, ranks, device=x.device)
    drawn = torch.randperm(len(x), device=x.device)
    drawn = drawn[torch.arange(len(slots), device=x.device) % len(x)]
    vectors = x.new_zeros(count, x.shape[1])
    vectors[slots] = x[drawn]
    return sum_over_ranks(vectors)


@torch.no_grad()
def code_sums(
    x: Float[Tensor, "N dim"], indices: Int64[Tensor, "N"], num_codes: int
) -> tuple[Float[Tensor, "K"], Float[Tensor, "K dim"]]:
    """How many vectors of the global batch each code has, and their sum."""
    counts = torch.bincount(indices, minlength=num_codes).to(x.dtype)
    sums = x.new_zeros(num_codes, x.shape[1]).index_add_(0, indices, x)
    return sum_over_ranks(counts), sum_over_ranks(sums)
