"""Peak signal-to-noise ratio: 10 log10(peak^2 / MSE) in dB, here over RGB values in [0, 255].

Papers call two different values PSNR: the mean of the values per image (`psnr`), and the value of
the squared error pooled over all images (`psnr_pooled`), 0.6 to 1.0 dB lower. Reports show both.
One exact match, such as a black image or a black frame, makes the mean infinite, but not the pooled
value.
"""

from collections.abc import Mapping, Sequence
from math import inf, log10

import torch
from jaxtyping import Float64, Num
from torch import Tensor

from ..protocols.image_pair import Pair
from ..protocols.protocol import Protocol
from .metric import Column, SampleMetric

PEAK = 255.0


class PSNR(SampleMetric):
    """PSNR under a protocol's rules.

    Args:
        protocol: the rules; see `Protocol`.
    """

    name = "psnr"

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol

    def measure(self, pair: Pair) -> dict[str, Column]:
        """Return the PSNR of every sample in dB, and its mean squared error."""
        frames = squared_errors(*pair.values(self.protocol.psnr_values)).cpu()
        frames += self.protocol.psnr_epsilon * PEAK**2
        clips = frames.mean(dim=1)
        if self.protocol.psnr_per == "clip":
            decibels = [psnr_from_mse(error) for error in clips.tolist()]
        else:
            decibels = [clip_psnr(errors) for errors in frames.tolist()]
        return {"psnr": torch.tensor(decibels, dtype=torch.float64), "squared_error": clips}

    def numbers(self, columns: Mapping[str, Column]) -> dict[str, float]:
        """Return the mean PSNR over samples, and the PSNR of the pooled squared error."""
        pooled = psnr_from_mse(columns["squared_error"].mean().item())
        return {"psnr": columns["psnr"].mean().item(), "psnr_pooled": pooled}

    def caveat(self, columns: Mapping[str, Column]) -> str | None:
        """Warn if some samples, but not all, are exact matches and make the mean infinite."""
        infinite = int(columns["psnr"].isinf().sum())
        perfect = int((columns["squared_error"] == 0).sum())
        count = len(columns["psnr"])
        if infinite == 0 or perfect == count:
            return None
        # A clip's PSNR is the mean over its frames, so one exact frame makes it infinite.
        verb = "are" if infinite == perfect else "have frames that are"
        return (
            f"{infinite} of {count} samples {verb} reproduced exactly, which makes the mean "
            "infinite; see the pooled value"
        )


def squared_errors(
    originals: Num[Tensor, "B 3 T H W"], reconstructions: Num[Tensor, "B 3 T H W"]
) -> Float64[Tensor, "B T"]:
    """Return the mean squared error of every frame."""
    # Differences of 8-bit values and their squares are exact in single precision, sums are not.
    difference = originals.float() - reconstructions.float()
    return difference.square().mean(dim=(1, 3, 4), dtype=torch.float64)


def psnr_from_mse(mse: float, peak: float = PEAK) -> float:
    """Return the PSNR in dB of a mean squared error; infinite for an exact match.

    Args:
        mse: mean squared error of the values.
        peak: difference of the largest and the smallest possible value.
    """
    return inf if mse == 0 else 10 * log10(peak**2 / mse)


def clip_psnr(frame_errors: Sequence[float]) -> float:
    """Return the PSNR of a clip, the mean over its frames.

    Args:
        frame_errors: mean squared error of every frame.
    """
    return sum(map(psnr_from_mse, frame_errors)) / len(frame_errors)
