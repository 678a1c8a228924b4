"""Drift: what is left after 1, 2, 4 and 8 round trips, each from the rounded result of the last.

An ideal tokenizer is idempotent: what it has once reconstructed it gives back unchanged. Drift adds
up when images are edited in latent space, again and again.

    shift_n = mean over images of the distance between the mean colours before and after n trips
"""

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from ..metrics.psnr import psnr, squared_errors
from ..reconstructors.reconstructor import Reconstructor
from .diagnostic import Diagnostic, DiagnosticInputs, round_trip, side_by_side
from .finding import Finding

TRIPS = (1, 2, 4, 8)
WORTH_TELLING_LEVELS = 2.0


class Drift(Diagnostic):
    """Colours and PSNR over repeated round trips."""

    name = "drift"

    def run(self, reconstructor: Reconstructor, material: DiagnosticInputs) -> Finding:
        """Go round eight times."""
        clips, numbers, shown = material.pictures, {}, []
        for trip in range(1, TRIPS[-1] + 1):
            clips = round_trip(reconstructor, clips).clips
            if trip in TRIPS:
                numbers[f"psnr_{trip}_db"] = pooled_psnr(material.pictures, clips)
                numbers[f"shift_{trip}_levels"] = colour_shift(material.pictures, clips)
                shown.append(clips[0, :, 0])
        first, last = (numbers[f"psnr_{trip}_db"] for trip in (TRIPS[0], TRIPS[-1]))
        shift = numbers[f"shift_{TRIPS[-1]}_levels"]
        lost = 0.0 if first == last else first - last
        reading = f"eight round trips lose {lost:.2f} dB on the first" + (
            f" and shift colours by {shift:.1f} grey levels"
            if shift >= WORTH_TELLING_LEVELS
            else ", colours stay"
        )
        return Finding(self.name, reconstructor.name, numbers, reading, picture=_row(shown))


def pooled_psnr(before: UInt8[Tensor, "B 3 T H W"], after: UInt8[Tensor, "B 3 T H W"]) -> float:
    """PSNR of the squared error of all images together."""
    return psnr(squared_errors(before, after).mean().item())


def colour_shift(before: UInt8[Tensor, "B 3 T H W"], after: UInt8[Tensor, "B 3 T H W"]) -> float:
    """Distance between mean colours in grey levels, mean over images."""
    means = [clips.float().mean(dim=(2, 3, 4)) for clips in (before, after)]
    return (means[1] - means[0]).norm(dim=1).mean().item()


def _row(pictures: Sequence[Tensor]) -> Tensor:
    half = len(pictures) // 2
    return torch.cat([side_by_side(pictures[:half]), side_by_side(pictures[half:])], dim=1)
