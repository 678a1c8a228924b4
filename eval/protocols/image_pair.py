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

from jaxtyping import Float, Num, UInt8
from torch import Tensor

from ...data.pixels import to_pixels

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


def flatten_frames(clips: Num[Tensor, "B C T H W"]) -> Num[Tensor, "B*T C H W"]:
    """Return the frames of all clips as one batch of images."""
    return clips.transpose(1, 2).flatten(0, 1)
