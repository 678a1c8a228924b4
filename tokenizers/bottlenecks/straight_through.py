"""Gradients past a quantizer: the straight-through estimator and the rotation trick.

Both give codes exactly, to the bit, and differ in how the codes' gradient g reaches x:

    straight-through (arXiv 1308.3432)    dL/dx = g
    rotation trick (arXiv 2410.06424)     dL/dx = (|q| / |x|) R^T g,    R rotates x/|x| to q/|q|
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

MIN_NORM = 1e-6


class _StraightThrough(torch.autograd.Function):
    """The codes forward, the identity backward: no arithmetic that could move a code by an ulp."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, codes: Tensor) -> Tensor:
        return codes.clone() if codes is x else codes.view_as(codes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradient, None


def straight_through(
    x: Float[Tensor, "*batch dim"], codes: Float[Tensor, "*batch dim"]
) -> Float[Tensor, "*batch dim"]:
    """`codes`, with a gradient that goes to `x` unchanged and to `codes` not at all."""
    return _StraightThrough.apply(x, codes.detach())  # pyright: ignore[reportReturnType]


def rotate_through(
    x: Float[Tensor, "*batch dim"], codes: Float[Tensor, "*batch dim"]
) -> Float[Tensor, "*batch dim"]:
    """`codes`, with a gradient that the rotation trick turns and scales on its way to `x`."""
    with torch.no_grad():
        x_hat, q_hat = F.normalize(x, dim=-1, eps=MIN_NORM), F.normalize(codes, dim=-1)
        r = F.normalize(x_hat + q_hat, dim=-1, eps=MIN_NORM)
        x_norm = x.norm(dim=-1, keepdim=True).clamp_min(MIN_NORM)
        scale = codes.norm(dim=-1, keepdim=True) / x_norm
    # (R x) = x - 2 (x . r) r + 2 (x . x_hat) q_hat; Householder twice, never a dim x dim matrix
    reflected = x - 2 * (x * r).sum(dim=-1, keepdim=True) * r
    rotated = reflected + 2 * (x * x_hat).sum(dim=-1, keepdim=True) * q_hat
    return straight_through(scale * rotated, codes)
