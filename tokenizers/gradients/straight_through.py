"""Gradients past a quantizer: the straight-through estimator and the rotation trick.

Both return the codes q unchanged, to the bit, and differ in how their gradient g reaches x:

    straight-through (arXiv 1308.3432)    dL/dx = g                                              (1)
    rotation trick (arXiv 2410.06424)     dL/dx = (|q| / |x|) R^T g                              (2)

R rotates x_hat = x / |x| to q_hat = q / |q|. It is made of two Householder reflections, and its
product with x needs no dim x dim matrix:

    R = I - 2 r r^T + 2 q_hat x_hat^T,    r = (x_hat + q_hat) / |x_hat + q_hat|                  (3)
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

MIN_NORM = 1e-6


class _StraightThrough(torch.autograd.Function):
    """Codes forward, identity backward: x + sg(codes - x) without its rounding errors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, codes: Tensor) -> Tensor:
        return codes.clone() if codes is x else codes.view_as(codes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradient, None


def straight_through(
    x: Float[Tensor, "*batch dim"], codes: Float[Tensor, "*batch dim"]
) -> Float[Tensor, "*batch dim"]:
    """Return `codes`; their gradient reaches `x` unchanged, and never `codes`."""
    # (1)
    return _StraightThrough.apply(x, codes.detach())  # pyright: ignore[reportReturnType]


def rotate_through(
    x: Float[Tensor, "*batch dim"], codes: Float[Tensor, "*batch dim"]
) -> Float[Tensor, "*batch dim"]:
    """Return `codes`; their gradient reaches `x` rotated and scaled by the rotation trick."""
    with torch.no_grad():
        x_hat, q_hat = F.normalize(x, dim=-1, eps=MIN_NORM), F.normalize(codes, dim=-1)
        r = F.normalize(x_hat + q_hat, dim=-1, eps=MIN_NORM)
        x_norm = x.norm(dim=-1, keepdim=True).clamp_min(MIN_NORM)
        scale = codes.norm(dim=-1, keepdim=True) / x_norm
    # (3), as R x = x - 2 (x . r) r + 2 (x . x_hat) q_hat
    reflected = x - 2 * (x * r).sum(dim=-1, keepdim=True) * r
    rotated = reflected + 2 * (x * x_hat).sum(dim=-1, keepdim=True) * q_hat
    # (2)
    return straight_through(scale * rotated, codes)
