"""Operations on learned codebooks for VQ, SimVQ and IBQ: two losses, nearest codes, k-means.

    commitment = mean (x - sg(e))^2        codebook = mean (sg(x) - e)^2                         (1)
    argmin_k |x - e_k|^2 = argmax_k (x . e_k - |e_k|^2 / 2)                                      (2)

The right-hand side of (2) is one matrix product per chunk of vectors: no N x K x dim tensor, and
bounded memory. It leaves out |x|^2, which is the same for all codes and would cost the differences
digits. k-means (Lloyd 1982) over the vectors of all ranks initializes a codebook.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ...distributed import all_reduce_sum, rank_and_world_size

# Scores per chunk: 4 MiB in fp32, which still fit into a CPU's cache.
CHUNK_ELEMENTS = 2**20

KMEANS_ITERATIONS = 10


def commitment_term(
    x: Float[Tensor, "*batch dim"], codes: Float[Tensor, "*batch dim"]
) -> Float[Tensor, ""]:
    """Return the mean squared distance to the codes; gradients reach only the latents."""
    # (1)
    return (x - codes.detach()).square().mean()


def codebook_term(
    x: Float[Tensor, "*batch dim"], codes: Float[Tensor, "*batch dim"]
) -> Float[Tensor, ""]:
    """Return the same value as `commitment_term`; gradients reach only the codes."""
    # (1)
    return (x.detach() - codes).square().mean()


def check_codebook(codebook_size: int, codebook_dim: int) -> None:
    """Raise unless the codebook has at least two codes of at least one channel."""
    if codebook_size < 2:
        raise ValueError(f"codebook_size must be >= 2, got {codebook_size}")
    if codebook_dim < 1:
        raise ValueError(f"codebook_dim must be >= 1, got {codebook_dim}")


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise unless the option `name` has one of its allowed values."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


@torch.no_grad()
def nearest_codes(
    x: Float[Tensor, "N dim"], codebook: Float[Tensor, "K dim"]
) -> Int64[Tensor, "N"]:
    """Return the indices of the Euclidean nearest codes, the first of equally near ones."""
    # (2)
    half_norms = -0.5 * codebook.square().sum(dim=1)
    return _argmax_of_scores(x, codebook, half_norms)


@torch.no_grad()
def most_similar_codes(
    x: Float[Tensor, "N dim"], codebook: Float[Tensor, "K dim"]
) -> Int64[Tensor, "N"]:
    """Return the indices of the codes with the largest dot product with each vector."""
    return _argmax_of_scores(x, codebook, codebook.new_zeros(len(codebook)))


def _argmax_of_scores(x: Tensor, codebook: Tensor, offsets: Tensor) -> Tensor:
    rows = max(1, CHUNK_ELEMENTS // len(codebook))
    # detached, since torch.export traces writing into `out` only for tensors without a graph
    transposed, offsets = codebook.detach().t(), offsets.detach()
    # one buffer for all chunks, since allocating one for each would cost more than the product
    scores = x.new_empty(min(rows, len(x)), len(codebook))
    nearest = [
        torch.addmm(offsets, chunk, transposed, out=scores[: len(chunk)]).argmax(dim=1)
        for chunk in x.detach().split(rows)
    ]
    return torch.cat(nearest)


@torch.no_grad()
def kmeans(x: Float[Tensor, "N dim"], num_codes: int) -> Float[Tensor, "K dim"]:
    """Return k-means centroids of the global batch, the same on every rank."""
    centroids = sampled_vectors(x, num_codes)
    for _ in range(KMEANS_ITERATIONS):
        counts, sums = code_sums(x, nearest_codes(x, centroids), num_codes)
        means = sums / counts.clamp_min(1).unsqueeze(1)
        # a centroid without vectors does not move
        centroids = torch.where(counts.unsqueeze(1) > 0, means, centroids)
    return centroids


@torch.no_grad()
def sampled_vectors(x: Float[Tensor, "N dim"], count: int) -> Float[Tensor, "count dim"]:
    """Return `count` random vectors of the global batch, the same on every rank.

    Each rank fills every `ranks`-th slot from its own vectors, and the sum over ranks merges the
    slots. Where a rank has fewer vectors than slots, vectors repeat.
    """
    rank, ranks = rank_and_world_size()
    slots = torch.arange(rank, count, ranks, device=x.device)
    drawn = torch.randperm(len(x), device=x.device)
    drawn = drawn[torch.arange(len(slots), device=x.device) % len(x)]
    vectors = x.new_zeros(count, x.shape[1])
    vectors[slots] = x[drawn]
    return all_reduce_sum(vectors)


@torch.no_grad()
def code_sums(
    x: Float[Tensor, "N dim"], indices: Int64[Tensor, "N"], num_codes: int
) -> tuple[Float[Tensor, "K"], Float[Tensor, "K dim"]]:
    """Return the number of vectors of the global batch that each code won, and their sum."""
    counts = torch.bincount(indices, minlength=num_codes).to(x.dtype)
    sums = x.new_zeros(num_codes, x.shape[1]).index_add_(0, indices, x)
    return all_reduce_sum(counts), all_reduce_sum(sums)
