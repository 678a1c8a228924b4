"""Peak signal-to-noise ratio: 10 log10(255^2 / MSE) in dB, over 8-bit RGB values.

Two numbers are called PSNR in papers: the mean of the per-picture values (ours) and the value of
the pooled squared error, which lies 0.6 to 1.0 dB lower. Reports carry both.
"""

from collections.abc import Sequence
from math import inf, log10

from jaxtyping import Float64, UInt8
from torch import Tensor

PEAK = 255.0


def squared_errors(
    pictures: UInt8[Tensor, "B 3 T H W"], reconstructions: UInt8[Tensor, "B 3 T H W"]
) -> Float64[Tensor, "B T"]:
    """Mean squared error of every frame."""
    difference = pictures.double() - reconstructions.double()
    return difference.square().mean(dim=(1, 3, 4))


def psnr(mean_squared_error: float) -> float:
    """PSNR in dB of a mean squared error; infinite for a perfect match."""
    return inf if mean_squared_error == 0 else 10 * log10(PEAK**2 / mean_squared_error)


def clip_psnr(frame_errors: Sequence[float]) -> float:
    """PSNR of one clip: the mean over its frames."""
    return sum(map(psnr, frame_errors)) / len(frame_errors)
