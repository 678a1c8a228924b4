"""Peak signal-to-noise ratio: 10 log10(peak^2 / MSE) in dB, here over RGB values in [0, 255].

Papers call two different values PSNR: the mean of the values per image (`psnr`), and the value of
the squared error pooled over all images (`psnr_pooled`), 0.6 to 1.0 dB lower. Reports show both.
One exact match, such as a black image or a black frame, makes the mean infinite, but not the pooled
value.

torchmetrics' PSNR is not used: its constants (the logarithms of the peak and of the base) are in
single precision, which changes every value by 3e-8 of itself; it knows no epsilon, which VidTok
adds; and it does not return the squared errors that are pooled.
"""

from collections.abc import Mapping, Sequence
from math import inf, log10
from typing import Literal

import torch
from jaxtyping import Float64, Num, Shaped
from torch import Tensor

from ..protocols.image_pair import Pair
from ..protocols.protocol import CANONICAL, Protocol, protocol_of
from .metric import Column, SampleMetric, value_of

PEAK = 255.0


class PSNR(SampleMetric):
    """PSNR in dB, under a protocol's rules; from 0 to infinity for an exact match.

    `compute` returns the mean over samples; `compute_all` also the pooled value, `psnr_pooled`.

    Args:
        protocol: the rules or their name; see `Protocol`.
    """

    name = "psnr"
    column_names = ("psnr", "squared_error")
    higher_is_better = True

    def __init__(self, protocol: Protocol | str = CANONICAL) -> None:
        super().__init__()
        self.protocol = protocol_of(protocol)

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

    def numbers_of_means(self, means: Mapping[str, float]) -> dict[str, float]:
        """Return the mean PSNR over samples, and the PSNR of the pooled squared error."""
        return {"psnr": means["psnr"], "psnr_pooled": psnr_from_mse(means["squared_error"])}

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


def psnr(
    originals: Shaped[Tensor, "B 3 *frames H W"],
    reconstructions: Shaped[Tensor, "B 3 *frames H W"],
    protocol: Protocol | str = CANONICAL,
    reduction: Literal["mean", "none"] = "mean",
) -> Float64[Tensor, "*B"]:
    """Compute the PSNR in dB of clips (B, 3, T, H, W) or images (B, 3, H, W).

    Args:
        originals: floats in [-1, 1], or uint8.
        reconstructions: floats, clamped to [-1, 1], or uint8; of the same shape.
        protocol: the rules or their name; by default both sides are rounded to 8 bits.
        reduction: mean over the samples, or none for the value of each, (B,).

    Raises:
        ValueError: another shape, or originals beyond [-1, 1].
    """
    return value_of(PSNR(protocol), originals, reconstructions, reduction)


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
