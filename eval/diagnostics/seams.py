"""Seams: differences of tiled and whole reconstruction, at the borders of tiles and elsewhere.

seam = RMS of (tiled - whole) within 2 pixels of a tile border, in gray levels
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from ..reconstructors.reconstructor import Reconstructor
from .diagnostic import (
    Diagnostic,
    DiagnosticInputs,
    NotExaminedError,
    amplified,
    levels,
    round_trip,
)
from .finding import Finding

REACH_PX = 2
GAIN = 16.0
VISIBLE = 0.5


class Seams(Diagnostic):
    """Differences of tiled and whole reconstruction."""

    name = "seams"

    def run(self, reconstructor: Reconstructor, inputs: DiagnosticInputs) -> Finding:
        """Reconstruct each image in about 2 x 2 tiles and as a whole."""
        tile = reconstructor.tile_side(inputs.size // 2)
        if tile is None:
            raise NotExaminedError(f"does not support tiles of up to {inputs.size // 2} pixels")
        whole = levels(round_trip(reconstructor, inputs.images))
        error = levels(round_trip(reconstructor.tiled(tile), inputs.images)) - whole
        near = near_seams(inputs.size, tile)
        at_seams = error[..., near].square().mean().sqrt().item()
        elsewhere = error[..., ~near].square().mean().sqrt().item()
        largest = error.abs().max().item()
        summary = (
            f"tiles of {tile} pixels differ visibly from the whole, by up to {largest:.1f} gray "
            "levels"
            if largest >= VISIBLE
            else f"tiles of {tile} pixels equal the whole to {largest:.2g} gray levels"
        )
        return Finding(
            self.name,
            reconstructor.name,
            {
                "seam_rms_levels": at_seams,
                "elsewhere_rms_levels": elsewhere,
                "largest_levels": largest,
            },
            summary,
            image=amplified(error[0, :, 0], GAIN),
        )


def near_seams(size: int, tile: int) -> Bool[Tensor, "size size"]:
    """Return a mask of the pixels at most `REACH_PX` from a border between tiles."""
    lines = torch.zeros(size, dtype=torch.bool)
    for border in range(tile, size, tile):
        lines[max(0, border - REACH_PX) : border + REACH_PX] = True
    return lines[:, None] | lines[None, :]
