"""Conversion between 8-bit images and pixels in [-1, 1]; there is no other in the package."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def to_pixels(image: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Map 0 ... 255 to [-1, 1]."""
    return image.float() / 127.5 - 1.0


def to_uint8(pixels: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Map [-1, 1] to 0 ... 255: clamp, then round (truncation would shift 95 of 256 levels)."""
    return ((pixels.float().clamp(-1, 1) + 1.0) * 127.5).round().to(torch.uint8)


def check_float_pixels(pixels: Tensor, limit: float) -> None:
    """Raise unless pixels are finite floats whose absolute values are at most `limit`."""
    if not pixels.is_floating_point():
        raise ValueError(
            f"pixels must be uint8 in 0..255 or floating in [-1, 1], got {pixels.dtype}"
        )
    if not pixels.isfinite().all():
        raise ValueError("pixels must be finite, got NaN or infinity")
    if pixels.numel() and pixels.abs().max() > limit:
        low, high = torch.aminmax(pixels)
        raise ValueError(
            f"floating pixels must be in [-1, 1], got {low:g} to {high:g}; for values in 0..255 "
            "pass uint8, or pixels / 127.5 - 1"
        )
