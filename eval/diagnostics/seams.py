"""Seams: does tiled decoding differ from decoding in one piece, and most so where tiles meet?

seam = RMS of (tiled - whole) within 2 pixels of a tile border, in grey levels
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
    """Tiled against whole decoding."""

    name = "seams"

    def run(self, reconstructor: Reconstructor, material: DiagnosticInputs) -> Finding:
        """Cut each image into about 2 x 2 tiles."""
        tile = reconstructor.tile_side(material.size // 2)
        if tile is None:
            raise NotExaminedError(f"does not work in tiles of up to {material.size // 2} pixels")
        whole = levels(round_trip(reconstructor, material.pictures))
        error = levels(round_trip(reconstructor.tiled(tile), material.pictures)) - whole
        near = near_seams(material.size, tile)
        at_seams = error[..., near].square().mean().sqrt().item()
        elsewhere = error[..., ~near].square().mean().sqrt().item()
        largest = error.abs().max().item()
        reading = (
            f"tiles of {tile} pixels show where they meet: up to {largest:.1f} grey levels"
            if largest >= VISIBLE
            else f"tiles of {tile} pixels equal the whole to {largest:.2g} grey levels"
        )
        return Finding(
            self.name,
            reconstructor.name,
            {
                "seam_rms_levels": at_seams,
                "elsewhere_rms_levels": elsewhere,
                "largest_levels": largest,
            },
            reading,
            picture=amplified(error[0, :, 0], GAIN),
        )


def near_seams(size: int, tile: int) -> Bool[Tensor, "size size"]:
    """Pixels at most `REACH_PX` from a border between tiles."""
    lines = torch.zeros(size, dtype=torch.bool)
    for border in range(tile, size, tile):
        lines[max(0, border - REACH_PX) : border + REACH_PX] = True
    return lines[:, None] | lines[None, :]
