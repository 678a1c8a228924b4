"""Peak signal-to-noise ratio: 10 log10(255^2 / MSE) in dB, over RGB values in [0, 255].

Two numbers are called PSNR in papers: the mean of the per-image values (`psnr`), and the value of
the squared error pooled over all images (`psnr_pooled`), 0.6 to 1.0 dB lower. Reports carry both.
One perfect match, such as a black image or a black frame, makes the mean infinite, not the other.
"""

from collections.abc import Mapping, Sequence
from math import inf, log10

import torch
from jaxtyping import Float64, Num
from torch import Tensor

from ..protocol import Protocol
from .image_pair import Pair
from .metric import Column, SampleMetric

PEAK = 255.0


class PSNR(SampleMetric):
    """PSNR under a protocol's rules; see `Protocol`."""

    name = "psnr"

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol

    def measure(self, pair: Pair) -> dict[str, Column]:
        """The dB of every sample, and its squared error."""
        frames = squared_errors(*pair.values(self.protocol.psnr_values)).cpu()
        frames += self.protocol.psnr_epsilon * PEAK**2
        clips = frames.mean(dim=1)
        if self.protocol.psnr_per == "clip":
            decibels = [psnr(error) for error in clips.tolist()]
        else:
            decibels = [clip_psnr(errors) for errors in frames.tolist()]
        return {"psnr": torch.tensor(decibels, dtype=torch.float64), "squared_error": clips}

    def numbers(self, columns: Mapping[str, Column]) -> dict[str, float]:
        """The mean over samples, and the value of the pooled error."""
        pooled = psnr(columns["squared_error"].mean().item())
        return {"psnr": columns["psnr"].mean().item(), "psnr_pooled": pooled}

    def caveat(self, columns: Mapping[str, Column]) -> str | None:
        """How many samples make the mean infinite, where not all of them are perfect."""
        infinite = int(columns["psnr"].isinf().sum())
        perfect = int((columns["squared_error"] == 0).sum())
        count = len(columns["psnr"])
        if infinite == 0 or perfect == count:
            return None
        # A clip's value is the mean over its frames, so that one of them is enough.
        what = "are" if infinite == perfect else "have frames that are"
        return (
            f"{infinite} of {count} samples {what} reproduced exactly, which makes the mean "
            "infinite; see the pooled value"
        )


def squared_errors(
    pictures: Num[Tensor, "B 3 T H W"], reconstructions: Num[Tensor, "B 3 T H W"]
) -> Float64[Tensor, "B T"]:
    """Mean squared error of every frame."""
    # Differences of 8-bit values and their squares are exact in single precision, sums are not.
    difference = pictures.float() - reconstructions.float()
    return difference.square().mean(dim=(1, 3, 4), dtype=torch.float64)


def psnr(mean_squared_error: float, peak: float = PEAK) -> float:
    """Return the PSNR in dB of a mean squared error; infinite for a perfect match.

    Args:
        mean_squared_error: in squared units of the pixels.
        peak: range of the pixels: 255 for 8-bit values, 2 for pixels in [-1, 1].
    """
    return inf if mean_squared_error == 0 else 10 * log10(peak**2 / mean_squared_error)


def clip_psnr(frame_errors: Sequence[float]) -> float:
    """PSNR of one clip: the mean over its frames."""
    return sum(map(psnr, frame_errors)) / len(frame_errors)
