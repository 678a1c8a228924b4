"""Drift: quality after 1, 2, 4 and 8 round trips, each from the previous one's rounded result.

An ideal tokenizer is idempotent: it leaves its own reconstructions unchanged. Drift accumulates if
an image is edited in latent space repeatedly.

    shift_n = mean over images of the distance between the mean colors before and after n trips
"""

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from ..metrics.psnr import psnr_from_mse, squared_errors
from ..reconstructors.reconstructor import Reconstructor
from .diagnostic import Diagnostic, DiagnosticInputs, round_trip, side_by_side
from .finding import Finding

TRIPS = (1, 2, 4, 8)
VISIBLE_SHIFT_LEVELS = 2.0


class Drift(Diagnostic):
    """Mean color and PSNR over repeated round trips."""

    name = "drift"

    def run(self, reconstructor: Reconstructor, inputs: DiagnosticInputs) -> Finding:
        """Run eight round trips and compare each measured one with the originals."""
        clips, numbers, results = inputs.images, {}, []
        for trip in range(1, TRIPS[-1] + 1):
            clips = round_trip(reconstructor, clips).clips
            if trip in TRIPS:
                numbers[f"psnr_{trip}_db"] = pooled_psnr(inputs.images, clips)
                numbers[f"shift_{trip}_levels"] = color_shift(inputs.images, clips)
                results.append(clips[0, :, 0])
        first, last = (numbers[f"psnr_{trip}_db"] for trip in (TRIPS[0], TRIPS[-1]))
        shift = numbers[f"shift_{TRIPS[-1]}_levels"]
        lost = 0.0 if first == last else first - last
        summary = f"eight round trips lose {lost:.2f} dB compared to one" + (
            f" and shift colors by {shift:.1f} gray levels"
            if shift >= VISIBLE_SHIFT_LEVELS
            else "; colors do not drift"
        )
        return Finding(self.name, reconstructor.name, numbers, summary, image=_two_rows(results))


def pooled_psnr(before: UInt8[Tensor, "B 3 T H W"], after: UInt8[Tensor, "B 3 T H W"]) -> float:
    """Compute the PSNR of the squared error pooled over all images."""
    return psnr_from_mse(squared_errors(before, after).mean().item())


def color_shift(before: UInt8[Tensor, "B 3 T H W"], after: UInt8[Tensor, "B 3 T H W"]) -> float:
    """Compute the distance between mean colors in gray levels, averaged over images."""
    means = [clips.float().mean(dim=(2, 3, 4)) for clips in (before, after)]
    return (means[1] - means[0]).norm(dim=1).mean().item()


def _two_rows(images: Sequence[Tensor]) -> Tensor:
    half = len(images) // 2
    return torch.cat([side_by_side(images[:half]), side_by_side(images[half:])], dim=1)
