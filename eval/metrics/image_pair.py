"""Images beside their reconstructions, as the numbers that a protocol compares.

With grey levels k of the original and x in [-1, 1] decoded, both sides in [0, 255]:

    rounded          k                                     round(127.5 (clamp(x) + 1))
    truncated        floor(255 (f(k) + 1) / 2)             floor(255 (clamp(x) + 1) / 2)
    truncated_unit   k                                     floor(255 (clamp(x) + 1) / 2)
    floats           k                                     127.5 (clamp(x) + 1)

f(k) = k / 127.5 - 1, computed in double precision and stored in single precision as published
loaders do: 95 of the 256 grey levels of an untouched original then come out one too low. Loaders to
[0, 1] (k / 255) lose none.
"""

from dataclasses import dataclass

from jaxtyping import Float, UInt8
from torch import Tensor

from ...data.pixels import to_pixels
from ..protocol import Values


@dataclass(frozen=True)
class Pair:
    """A batch of originals and reconstructions.

    Attributes:
        originals: 8 bit.
        reconstructions: 8 bit, rounded.
        pixels: reconstructions in [-1, 1] before rounding; None where 8 bits are all there is.
    """

    originals: UInt8[Tensor, "B 3 T H W"]
    reconstructions: UInt8[Tensor, "B 3 T H W"]
    pixels: Float[Tensor, "B 3 T H W"] | None

    def values(self, kind: Values) -> tuple[Float[Tensor, "B 3 T H W"], Float[Tensor, "B 3 T H W"]]:
        """Both sides in [0, 255], as the protocol wants them; see the module."""
        if kind == "rounded":
            return self.originals.float(), self.reconstructions.float()
        pixels = to_pixels(self.reconstructions) if self.pixels is None else self.pixels
        unit = (pixels.float().clamp(-1, 1) + 1) / 2
        if kind == "floats":
            return self.originals.float(), unit * 255
        if kind == "truncated_unit":
            return self.originals.float(), (unit * 255).floor()
        loaded = (self.originals.double() / 127.5 - 1).float()
        return ((loaded + 1) / 2 * 255).floor(), (unit * 255).floor()
