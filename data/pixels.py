"""The one way from 8-bit images to pixels in [-1, 1], and back."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def to_pixels(picture: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """0 ... 255 to [-1, 1]."""
    return picture.float() / 127.5 - 1.0


def to_uint8(pixels: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """[-1, 1] to 0 ... 255: clamp, then round (truncating would shift 95 of 256 grey levels)."""
    return ((pixels.float().clamp(-1, 1) + 1.0) * 127.5).round().to(torch.uint8)
