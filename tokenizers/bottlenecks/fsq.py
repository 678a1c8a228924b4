"""Finite scalar quantization (FSQ, arXiv 2309.15505): round every channel to a few levels.

For channel j with L levels:

    h = (L - 1)(1 + eps) / 2        o = 1/2 if L is even else 0        s = atanh(o / h)
    b(z) = h tanh(z + s) - o        q = round(b), straight-through     code = q / floor(L / 2)   (1)
    index = sum_j (q_j + floor(L_j / 2)) basis_j,    basis_j = L_0 ... L_{j-1}                   (2)

The codebook is implied by the levels: nothing to learn, no loss, no parameters.

The codes of an even number of levels are not symmetric (8 levels: -1, -0.75, ..., 0.75). The
variant of arXiv 2411.19842 spaces them evenly over [-1, 1]:

    h = (L - 1) / 2        s = 0        code = (q + o) / h                                       (3)

Below, both are written as code = (q + c) / w: c = 0, w = floor(L / 2) in (1); c = o, w = h in (3).
The method is `quantize_exact`, which compiled code runs; `quantize_fast` equals it in eager mode.
"""

from collections.abc import Sequence
from math import atanh, gcd, log2, prod
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor

from ..gradients.straight_through import straight_through
from .bottleneck import MAX_BITS, Quantized, Quantizer

EPS = 1e-3
DEFAULT_LEVELS = (8, 8, 8, 5, 5, 5)
# Table 1 of the paper: level sets whose product is close to, and not above, a power of two.
PRESETS = {
    2**8: (8, 6, 5),
    2**10: (8, 5, 5, 5),
    2**12: (7, 5, 5, 5, 5),
    2**14: (8, 8, 8, 6, 5),
    2**16: DEFAULT_LEVELS,
    64_000: DEFAULT_LEVELS,
}
EXACT_IN_FP32 = 2**24


class Constants(NamedTuple):
    """The constants of (1) or (3), one value per channel."""

    h: Float[Tensor, "channels"]
    o: Float[Tensor, "channels"]
    s: Float[Tensor, "channels"]
    c: Float[Tensor, "channels"]
    w: Float[Tensor, "channels"]


class FSQ(Quantizer):
    """Finite scalar quantization.

    Args:
        levels: number of values of each channel, each >= 2; None takes (8, 8, 8, 5, 5, 5), or the
            preset of `codebook_size`.
        codebook_size: instead of levels, one of 2^8, 2^10, 2^12, 2^14, 2^16 or 64000: the paper's
            level set of about that many codes.
        symmetric: space the codes of even numbers of levels evenly over [-1, 1], too.
        squash: how latents are mapped to the range of the codes: "tanh" as in the paper, or
            "clamp", which takes the nearest code (for inputs of known range, and in Residual).

    Example:
        >>> import torch
        >>> from vistok import FSQ
        >>> fsq = FSQ(levels=(8, 5, 5))
        >>> fsq.codebook_size
        200
        >>> out = fsq(torch.tensor([[0.0, 0.0, 0.0], [2.0, -2.0, 0.2]]))
        >>> out.codes
        tensor([[ 0.0000,  0.0000,  0.0000],
                [ 0.7500, -1.0000,  0.0000]])
        >>> torch.equal(fsq.indices_to_codes(out.indices), out.codes)
        True
    """

    levels: Int64[Tensor, "dim"]
    basis: Int64[Tensor, "dim"]
    constant_bits: Int32[Tensor, "5 dim"]

    def __init__(
        self,
        levels: Sequence[int] | None = None,
        codebook_size: int | None = None,
        symmetric: bool = False,
        squash: Literal["tanh", "clamp"] = "tanh",
    ) -> None:
        super().__init__()
        levels = _levels(levels, codebook_size)
        if squash not in ("tanh", "clamp"):
            raise ValueError(f"squash must be tanh or clamp, got {squash!r}")
        self._level_counts = tuple(levels)  # for `repr`, also where buffers have no values
        self.symmetric, self.squash = symmetric, squash
        self.idempotent = squash == "clamp"
        self.dim = self.code_dim = len(levels)
        self.group_sizes = (prod(levels),)
        # Integer buffers, so that casting the model to half precision leaves them exact: the
        # constants are stored as the bits of their fp32 values.
        basis = [prod(levels[:j]) for j in range(len(levels))]
        constants = torch.tensor(_constants(levels, symmetric), dtype=torch.float32)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("basis", torch.tensor(basis), persistent=False)
        self.register_buffer("constant_bits", constants.view(torch.int32), persistent=False)

    def extra_repr(self) -> str:
        """Describe the levels, and the squashing for `repr`."""
        return f"levels={self._level_counts}, squash={self.squash!r}"

    @property
    def residual_scale(self) -> Float[Tensor, "dim"]:
        """The next stage of a residual quantizer divides every step into as many levels again."""
        return 1 / self.levels.float()

    def constants(self, dtype: torch.dtype) -> Constants:
        """Return the constants of every channel."""
        return Constants(*self.constant_bits.view(torch.float32).to(dtype).unbind())

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        # a compiler fuses the exact form by itself
        fast = self.squash == "tanh" and not torch.compiler.is_compiling()
        codes, q = self.quantize_fast(x) if fast else self.quantize_exact(x)
        return Quantized(codes, self._indices(q), x.new_zeros((), dtype=torch.float32), {})

    # ---- exact: the method ----------------------------------------------------------------------

    def quantize_exact(
        self, z: Float[Tensor, "*batch dim"]
    ) -> tuple[Float[Tensor, "*batch dim"], Float[Tensor, "*batch dim"]]:
        """Return codes and q, as (1) and (3) have them."""
        b = self.bound(z)
        q = b.detach().round()
        return self._codes(straight_through(b, q)), q

    def bound(self, z: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Squash `z` so that rounding gives one of the levels, counted from the middle."""
        h, o, s, c, w = self.constants(z.dtype)
        if self.squash == "clamp":
            return torch.clamp(z * w - c, -h - o, h - o)
        # (1)
        return h * torch.tanh(z + s) - o

    def _codes(self, q: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        constants = self.constants(q.dtype)
        return (q + constants.c) / constants.w

    # ---- fast: the same for "tanh" in eager mode ------------------------------------------------

    def quantize_fast(
        self, z: Float[Tensor, "*batch dim"]
    ) -> tuple[Float[Tensor, "*batch dim"], Float[Tensor, "*batch dim"]]:
        """Return what `quantize_exact` returns, in fewer passes and with one saved tensor.

        On a CPU this takes two thirds of the time and half of the memory
        (benchmarks/results/quantizers.md).
        """
        rows, constants = z, list(self.constants(z.dtype))
        if z.device.type == "cpu" and z.is_contiguous():
            # a CPU broadcasts constants much faster over rows of 32 vectors than of one
            vectors = gcd(z.numel() // self.dim, 32)
            constants = [constant.repeat(vectors) for constant in constants]
            rows = z.view(-1, vectors * self.dim)
        codes, q = _RoundedTanh.apply(rows, *constants)  # pyright: ignore[reportGeneralTypeIssues]
        return codes.view_as(z), q.view_as(z)

    # ---- indices --------------------------------------------------------------------------------

    def _indices(self, q: Float[Tensor, "*batch dim"]) -> Int64[Tensor, "*batch 1"]:
        half = self.levels // 2
        # (2) in floating point where that is exact, since integer products are slow
        if self.codebook_size <= EXACT_IN_FP32:
            middle = (half * self.basis).sum()
            return q.matmul(self.basis.to(q.dtype)).long().add_(middle).unsqueeze(-1)
        return ((q.long() + half) * self.basis).sum(dim=-1, keepdim=True)

    def indices_to_codes(self, indices: Int64[Tensor, "*batch 1"]) -> Float[Tensor, "*batch dim"]:
        """Return the codes of the given indices, fp32."""
        self.check_indices(indices)
        digits = indices // self.basis % self.levels
        return self._codes((digits - self.levels // 2).float())


class _RoundedTanh(torch.autograd.Function):
    """Codes and q of (1) or (3) in one node; dL/dz = dL/dcode (h / w) (1 - tanh^2(z + s))."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, z: Tensor, h: Tensor, o: Tensor, s: Tensor, c: Tensor, w: Tensor
    ) -> tuple[Tensor, Tensor]:
        tanh = (z + s).tanh_()
        q = torch.addcmul(-o, tanh, h).round_()
        ctx.save_for_backward(tanh, h / w)
        ctx.mark_non_differentiable(q)
        return torch.addcdiv(c / w, q, w), q

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        tanh, slope = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(gradient * slope, tanh), None, None, None, None, None


def _constants(levels: Sequence[int], symmetric: bool) -> list[list[float]]:
    """Return rows h, o, s, c and w of the channels, in double precision."""
    h = [(L - 1) / 2 * (1.0 if symmetric else 1 + EPS) for L in levels]
    o = [0.5 if L % 2 == 0 else 0.0 for L in levels]
    s = [0.0 if symmetric else atanh(a / b) for a, b in zip(o, h, strict=True)]
    c = o if symmetric else [0.0] * len(levels)
    w = h if symmetric else [float(L // 2) for L in levels]
    return [h, o, s, c, w]


def _levels(levels: Sequence[int] | None, codebook_size: int | None) -> tuple[int, ...]:
    """Return the level set that the options describe, checked."""
    if codebook_size is not None:
        if levels is not None:
            raise ValueError("give levels or codebook_size, not both")
        if codebook_size not in PRESETS:
            raise ValueError(
                f"codebook_size must be one of {', '.join(map(str, PRESETS))} (the paper's level "
                f"sets), got {codebook_size}; for another size give levels"
            )
        return PRESETS[codebook_size]
    levels = DEFAULT_LEVELS if levels is None else tuple(levels)
    if len(levels) == 0 or min(levels) < 2:
        raise ValueError(f"levels must each be >= 2 and at least one, got {levels}")
    bits = log2(prod(levels))
    if bits > MAX_BITS:
        raise ValueError(
            f"levels must multiply to at most 2^{MAX_BITS}, got {levels} = 2^{bits:.1f}"
        )
    return levels
