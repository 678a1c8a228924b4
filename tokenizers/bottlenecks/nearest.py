"""The nearest code of every vector, without an N x K x dim tensor and in bounded memory.

    argmin_k |x - e_k|^2 = argmax_k (x . e_k - |e_k|^2 / 2)

One matrix product per chunk of vectors. The |x|^2 that all codes share, and that would cost digits
of the differences, never appears.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

# Scores per chunk: 4 MiB in fp32, which a processor's cache still holds.
CHUNK_ELEMENTS = 2**20


@torch.no_grad()
def nearest_codes(
    x: Float[Tensor, "N dim"], codebook: Float[Tensor, "K dim"]
) -> Int64[Tensor, "N"]:
    """Index of the Euclidean nearest row of `codebook`, the first of equally near ones."""
    half_norms = -0.5 * codebook.square().sum(dim=1)
    return _argmax_of_scores(x, codebook, half_norms)


@torch.no_grad()
def most_similar_codes(
    x: Float[Tensor, "N dim"], codebook: Float[Tensor, "K dim"]
) -> Int64[Tensor, "N"]:
    """Index of the row of `codebook` with the largest dot product."""
    return _argmax_of_scores(x, codebook, codebook.new_zeros(len(codebook)))


def _argmax_of_scores(x: Tensor, codebook: Tensor, offsets: Tensor) -> Tensor:
    rows = max(1, CHUNK_ELEMENTS // len(codebook))
    # detached: tracing (torch.export) records products into a buffer only of tensors without graph
    transposed, offsets = codebook.detach().t(), offsets.detach()
    # one buffer for all chunks: fresh pages for each would cost more than the product
    scores = x.new_empty(min(rows, len(x)), len(codebook))
    nearest = [
        torch.addmm(offsets, chunk, transposed, out=scores[: len(chunk)]).argmax(dim=1)
        for chunk in x.detach().split(rows)
    ]
    return torch.cat(nearest)
