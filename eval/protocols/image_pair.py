"""Pixel conventions: how originals and reconstructions become the values that metrics compare.

With 8-bit values k of the original and decoded pixels x in [-1, 1], both sides in [0, 255]:

    convention       originals                     reconstructions
    rounded          k                             round(127.5 (clamp(x) + 1))
    truncated        floor(255 (f(k) + 1) / 2)     floor(255 (clamp(x) + 1) / 2)
    truncated_unit   k                             floor(255 (clamp(x) + 1) / 2)
    floats           k                             127.5 (clamp(x) + 1)

f(k) = k / 127.5 - 1, computed in double precision and stored in single precision as published
loaders do: 95 of the 256 gray levels of an untouched original then come out one too low. Loaders to
[0, 1] (k / 255) lose none.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Num, Shaped, UInt8
from torch import Tensor

from ...data.pixels import to_pixels, to_uint8

PixelConvention = Literal["rounded", "truncated", "truncated_unit", "floats"]


@dataclass(frozen=True)
class Pair:
    """A batch of originals and their reconstructions.

    Attributes:
        originals: 8-bit clips.
        reconstructions: 8-bit clips, rounded.
        pixels: reconstructions in [-1, 1] before rounding; None if only 8-bit values exist.
    """

    originals: UInt8[Tensor, "B 3 T H W"]
    reconstructions: UInt8[Tensor, "B 3 T H W"]
    pixels: Float[Tensor, "B 3 T H W"] | None

    def values(
        self, convention: PixelConvention
    ) -> tuple[Float[Tensor, "B 3 T H W"], Float[Tensor, "B 3 T H W"]]:
        """Return originals and reconstructions in [0, 255] under a convention; see the module."""
        if convention == "rounded":
            return self.originals.float(), self.reconstructions.float()
        pixels = to_pixels(self.reconstructions) if self.pixels is None else self.pixels
        unit = (pixels.float().clamp(-1, 1) + 1) / 2
        if convention == "floats":
            return self.originals.float(), unit * 255
        if convention == "truncated_unit":
            return self.originals.float(), (unit * 255).floor()
        loaded = (self.originals.double() / 127.5 - 1).float()
        return ((loaded + 1) / 2 * 255).floor(), (unit * 255).floor()


def pair_of_pixels(
    originals: Shaped[Tensor, "..."], reconstructions: Shaped[Tensor, "..."]
) -> Pair:
    """Build a pair from clips (B, 3, T, H, W), or from images (B, 3, H, W).

    Args:
        originals: floats in [-1, 1], rounded to the 8 bits that image files have, or uint8.
        reconstructions: floats, clamped to [-1, 1], or uint8.

    Raises:
        ValueError: another shape, shapes that differ, originals beyond [-1, 1], or NaN.
        TypeError: other integers than uint8.
    """
    if originals.shape != reconstructions.shape:
        raise ValueError(
            f"originals and reconstructions must have the same shape, got "
            f"{tuple(originals.shape)} and {tuple(reconstructions.shape)}"
        )
    before = _clips("originals", originals)
    after = _clips("reconstructions", reconstructions)
    # Decoders round 1 up by a few units of the last place of half precision
    if before.is_floating_point() and before.numel() and before.abs().max() > 1.001:
        raise ValueError(
            f"originals must lie in [-1, 1], got {before.min().item():.4g} to "
            f"{before.max().item():.4g}; scale them, or pass them as uint8"
        )
    pixels = after if after.is_floating_point() else None
    return Pair(_eight_bit(before), _eight_bit(after), pixels)


def _clips(name: str, values: Shaped[Tensor, "*shape"]) -> Num[Tensor, "B 3 T H W"]:
    """Return clips or images as clips, in a supported dtype."""
    if values.ndim not in (4, 5) or values.shape[1] != 3:
        raise ValueError(
            f"{name} must be clips (B, 3, T, H, W) or images (B, 3, H, W), got "
            f"{tuple(values.shape)}"
        )
    if not (values.is_floating_point() or values.dtype == torch.uint8):
        raise TypeError(f"{name} must be floats in [-1, 1] or uint8, got {values.dtype}")
    if values.is_floating_point() and values.isnan().any():
        raise ValueError(f"{name} must lie in [-1, 1], got NaN")
    return values.unsqueeze(2) if values.ndim == 4 else values


def _eight_bit(clips: Num[Tensor, "B 3 T H W"]) -> UInt8[Tensor, "B 3 T H W"]:
    return to_uint8(clips) if clips.is_floating_point() else clips


def flatten_frames(clips: Num[Tensor, "B C T H W"]) -> Num[Tensor, "B*T C H W"]:
    """Return the frames of all clips as one batch of images."""
    return clips.transpose(1, 2).flatten(0, 1)
