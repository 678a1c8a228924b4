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
