"""Finite scalar quantization (FSQ, arXiv 2309.15505): round every channel to a few levels.

For channel j with L levels:

    h = (L - 1)(1 + eps) / 2        o = 1/2 if L is even else 0        s = atanh(o / h)
    b(z) = h tanh(z + s) - o        q = round(b), straight-through     code = q / floor(L / 2)
    index = sum_j (q_j + floor(L_j / 2)) basis_j,    basis_j = L_0 ... L_{j-1}

The codebook is implied by the levels: nothing to learn, no loss, no parameters.
"""

from collections.abc import Sequence
from math import log2, prod

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .quantizer import Quantized, Quantizer

EPS = 1e-3
MAX_BITS = 62


class FSQ(Quantizer):
    """Finite scalar quantization.

    Args:
        levels: number of values of each channel, each >= 2.
    """

    levels: Int64[Tensor, "dim"]
    basis: Int64[Tensor, "dim"]

    def __init__(self, levels: Sequence[int] = (8, 8, 8, 5, 5, 5)) -> None:
        super().__init__()
        if len(levels) == 0 or min(levels) < 2:
            raise ValueError(f"levels must each be >= 2 and at least one, got {tuple(levels)}")
        size = prod(levels)
        if log2(size) > MAX_BITS:
            raise ValueError(
                f"levels must multiply to at most 2^{MAX_BITS}, "
                f"got {tuple(levels)} = 2^{log2(size):.1f}"
            )
        self.dim = self.code_dim = len(levels)
        self.group_sizes = (size,)
        # Integer buffers, so that casting the model to half precision leaves them exact.
        basis = [prod(levels[:j]) for j in range(len(levels))]
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("basis", torch.tensor(basis), persistent=False)

    def bound(self, z: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Squash `z` so that rounding gives one of the levels, counted from the middle."""
        h = (self.levels - 1).to(z.dtype) * (1 + EPS) / 2
        o = 0.5 * (self.levels % 2 == 0).to(z.dtype)
        s = torch.atanh(o / h)
        return h * torch.tanh(z + s) - o

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        half = self.levels // 2
        b = self.bound(x)
        q = b + (b.round() - b).detach()
        indices = ((b.detach().round().long() + half) * self.basis).sum(dim=-1, keepdim=True)
        return Quantized(q / half, indices, x.new_zeros((), dtype=torch.float32), {})

    def indices_to_codes(self, indices: Int64[Tensor, "*batch 1"]) -> Float[Tensor, "*batch dim"]:
        """Codes of the given indices, fp32."""
        half = self.levels // 2
        q = indices // self.basis % self.levels - half
        return q.float() / half
