"""Entropies of a soft assignment to all sign vectors, exact, without an N x codebook tensor.

The soft assignment of d logits l to the 2^d sign vectors factorises over the bits, with
p_j = P(bit j = 1) = sigmoid(l_j). Two exact consequences:

    H(p_n) = sum_j H_b(p_nj),    H_b(sigmoid(l)) = softplus(l) - l sigmoid(l)                    (1)

    mean_n p_n = B^T A / N,      A_n = (x) over the low bits, B_n = (x) over the high bits       (2)

where (x) is the outer product of (1 - p_nj, p_nj): A and B have only 2^(d/2) columns, so the
histogram of N vectors over 2^18 codes costs O(N 2^9) memory instead of O(N 2^18), in one matrix
product. It goes over chunks of vectors whose A and B the backward pass computes again, so that
memory does not grow with N either.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Elements of A (or B) per chunk: 4 MiB in fp32, which a processor's cache still holds.
CHUNK_ELEMENTS = 2**20


def bit_entropy(logits: Float[Tensor, "*batch bits"]) -> Float[Tensor, "*batch bits"]:
    """Entropy in nats of each bit, from its logit."""
    # (1); p log p of the textbook is NaN where p saturates
    return F.softplus(logits) - logits * torch.sigmoid(logits)


def mean_assignment(
    logits: Float[Tensor, "groups vectors bits"],
) -> Float[Tensor, "groups codes"]:
    """Mean over vectors of the assignment to all 2^bits codes, the first channel fastest."""
    groups, vectors, bits = logits.shape
    rows = max(1, CHUNK_ELEMENTS // (groups * 2 ** (bits - bits // 2)))
    if vectors <= rows:
        return _summed_assignment(logits) / vectors
    total = logits.new_zeros(groups, 2**bits)
    for chunk in logits.split(rows, dim=1):
        total = total + checkpoint(
            _summed_assignment, chunk, use_reentrant=False, preserve_rng_state=False
        )
    return total / vectors


def negative_plogp(p: Float[Tensor, "*batch codes"], eps: float) -> Float[Tensor, "*batch"]:
    """Entropy in nats of histograms: -sum p log(p + eps)."""
    return -(p * torch.log(p + eps)).sum(dim=-1)


def _summed_assignment(logits: Float[Tensor, "groups n bits"]) -> Float[Tensor, "groups codes"]:
    p, bits = torch.sigmoid(logits), logits.shape[-1]
    low, high = _outer(p[..., : bits // 2]), _outer(p[..., bits // 2 :])
    # (2); rows are the high bits, so that flattening counts the low bits fastest
    return torch.bmm(high.transpose(1, 2), low).flatten(1)


def _outer(p: Float[Tensor, "groups n k"]) -> Float[Tensor, "groups n 2**k"]:
    """Probability of every word of k bits, least significant bit first."""
    words = p.new_ones(*p.shape[:-1], 1)
    for j in range(p.shape[-1]):
        one = words * p[..., j : j + 1]
        words = torch.cat([words - one, one], dim=-1)
    return words
