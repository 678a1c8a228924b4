"""Finite scalar quantization (FSQ, arXiv 2309.15505): round every channel to a few levels.

For channel j with L levels:

    h = (L - 1)(1 + eps) / 2        o = 1/2 if L is even else 0        s = atanh(o / h)
    b(z) = h tanh(z + s) - o        q = round(b), straight-through     code = q / floor(L / 2)   (1)
    index = sum_j (q_j + floor(L_j / 2)) basis_j,    basis_j = L_0 ... L_{j-1}                   (2)

The codebook is implied by the levels: nothing to learn, no loss, no parameters.

The codes of an even number of levels are not symmetric (8 levels: -1, -0.75, ..., 0.75). The
variant of arXiv 2411.19842 spaces them evenly over [-1, 1]:

    h = (L - 1) / 2        s = 0        code = (q + o) / h                                       (3)
"""

from collections.abc import Sequence
from math import atanh, gcd, log2, prod
from typing import Any, Literal

import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor

from .bottleneck import MAX_BITS, Quantized, Quantizer
from .straight_through import straight_through

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


class FSQ(Quantizer):
    """Finite scalar quantization.

    Args:
        levels: number of values of each channel, each >= 2; None takes (8, 8, 8, 5, 5, 5), or the
            preset of `codebook_size`.
        codebook_size: instead of levels, one of 2^8, 2^10, 2^12, 2^14, 2^16 or 64000: the paper's
            level set of about that many codes.
        symmetric: codes evenly spaced over [-1, 1] for even numbers of levels, too.
        squash: what maps latents to the range of the codes: "tanh" as in the paper, or "clamp",
            where the code is simply the nearest one (for inputs of known range, and in Residual).
    """

    levels: Int64[Tensor, "dim"]
    basis: Int64[Tensor, "dim"]
    constants: Int32[Tensor, "5 dim"]

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
        self.symmetric, self.squash = symmetric, squash
        self.idempotent = squash == "clamp"
        self.dim = self.code_dim = len(levels)
        self.group_sizes = (prod(levels),)
        # Integer buffers, so that casting the model to half precision leaves them exact.
        basis = [prod(levels[:j]) for j in range(len(levels))]
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("basis", torch.tensor(basis), persistent=False)
        # (h, o, s) of (1), and code = (q + c) / w, per channel; their bits as integers, likewise.
        h = [(L - 1) / 2 * (1.0 if symmetric else 1 + EPS) for L in levels]
        o = [0.5 if L % 2 == 0 else 0.0 for L in levels]
        s = [0.0 if symmetric else atanh(a / b) for a, b in zip(o, h, strict=True)]
        c = o if symmetric else [0.0] * len(levels)
        w = h if symmetric else [float(L // 2) for L in levels]
        bits = torch.tensor([h, o, s, c, w], dtype=torch.float32).view(torch.int32)
        self.register_buffer("constants", bits, persistent=False)

    @property
    def residual_scale(self) -> Float[Tensor, "dim"]:
        """The next stage of a residual quantizer divides every step into as many levels again."""
        return 1 / self.levels.float()

    def bound(self, z: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Squash `z` so that rounding gives one of the levels, counted from the middle."""
        h, o, s, c, w = self._constants(z)
        if self.squash == "clamp":
            return torch.clamp(z * w - c, -h - o, h - o)
        # (1) b(z) = h tanh(z + s) - o
        return torch.addcmul(-o, torch.tanh(z + s), h)

    def _constants(self, z: Tensor, repeats: int = 1) -> list[Tensor]:
        """[h, o, s, c, w] in the dtype of `z`, for so many vectors in a row."""
        table = self.constants.view(torch.float32).to(z.dtype)
        return list((table if repeats == 1 else table.repeat(1, repeats)).unbind())

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        if self.squash == "tanh" and not torch.compiler.is_compiling():
            codes, q = self._rounded_tanh(x)
        else:
            b = self.bound(x)
            q = b.detach().round()
            codes = self._codes(straight_through(b, q))
        return Quantized(codes, self._indices(q), x.new_zeros((), dtype=torch.float32), {})

    def _rounded_tanh(self, x: Float[Tensor, "*batch dim"]) -> tuple[Tensor, Tensor]:
        """(1) by hand, which a compiler would do by itself: fewer passes, one saved tensor."""
        repeats, wide = 1, x
        if x.device.type == "cpu" and x.is_contiguous():
            # a processor broadcasts over many channels at several times the speed of a few
            repeats = gcd(x.numel() // self.dim, 32)
            wide = x.view(-1, repeats * self.dim)
        constants = self._constants(x, repeats)
        codes, q = _RoundedTanh.apply(wide, *constants)  # pyright: ignore[reportGeneralTypeIssues]
        return codes.view_as(x), q.view_as(x)

    def _codes(self, q: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        _, _, _, c, w = self._constants(q)
        # (3), where c = o; in (1) c = 0
        return (q + c) / w if self.symmetric else q / w

    def _indices(self, q: Float[Tensor, "*batch dim"]) -> Int64[Tensor, "*batch 1"]:
        half = self.levels // 2
        # (2) in floating point where that is exact, since integer products are slow
        if self.codebook_size <= EXACT_IN_FP32:
            middle = (half * self.basis).sum()
            return q.matmul(self.basis.to(q.dtype)).long().add_(middle).unsqueeze(-1)
        return ((q.long() + half) * self.basis).sum(dim=-1, keepdim=True)

    def indices_to_codes(self, indices: Int64[Tensor, "*batch 1"]) -> Float[Tensor, "*batch dim"]:
        """Codes of the given indices, fp32."""
        self.check_indices(indices)
        digits = indices // self.basis % self.levels
        return self._codes((digits - self.levels // 2).float())


class _RoundedTanh(torch.autograd.Function):
    """Codes and q of (1) or (3), and dL/dz = dL/dcode (h / w) (1 - tanh^2(z + s))."""

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


def _levels(levels: Sequence[int] | None, codebook_size: int | None) -> tuple[int, ...]:
    """The level set that the options ask for, checked."""
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
