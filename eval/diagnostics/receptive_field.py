"""Receptive field: how far a change of the input reaches in the output, and the overlap of tiles.

A small patch in the middle is replaced by noise; every output pixel that changes by more than
rounding lies within reach. Tiles that overlap by the reach (in multiples of 8) are as good as
the whole image. For networks that see everything, the distance within which 99 % of the squared
change lies tells what a blended overlap can still gain.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ..reconstructors.reconstructor import Reconstructor
from .diagnostic import Diagnostic, DiagnosticInputs, NotExaminedError, levels, round_trip
from .finding import Finding

PATCH_PX = 4
NUM_PATCHES = 3
ROUNDING_LEVELS = 1e-3
OVERLAP_STEP_PX = 8
SHARE = 0.99
SMALLEST_PX = 64


class ReceptiveField(Diagnostic):
    """Reach of a change, in pixels from the changed patch."""

    name = "receptive_field"

    def run(self, reconstructor: Reconstructor, material: DiagnosticInputs) -> Finding:
        """Change one patch after the other in the same image."""
        size = material.size
        if size < SMALLEST_PX:
            raise NotExaminedError(f"needs pictures of at least {SMALLEST_PX} pixels, got {size}")
        picture = material.pictures[:1]
        start = (size - PATCH_PX) // 2
        inside = slice(start, start + PATCH_PX)
        generator = torch.Generator().manual_seed(0)
        whole = levels(round_trip(reconstructor, picture))
        change = torch.zeros(size, size)
        for _ in range(NUM_PATCHES):
            noise = torch.randint(0, 256, (3, 1, PATCH_PX, PATCH_PX), generator=generator)
            changed = picture.clone()
            changed[0, :, :, inside, inside] = noise.byte()
            difference = (levels(round_trip(reconstructor, changed)) - whole).abs()
            change = torch.maximum(change, difference[0, :, 0].amax(dim=0))
        reach = reach_of(change, start)
        effective = effective_reach(change, start)
        edge = start  # pixels between the patch and the nearest border
        everywhere = reach >= edge
        overlap = -(-reach // OVERLAP_STEP_PX) * OVERLAP_STEP_PX
        reading = (
            f"a change reaches the border, {edge} pixels away or more: no overlap of tiles is "
            f"exact, but 99 % of the change lies within {effective} pixels"
            if everywhere
            else f"a change reaches {reach} pixels: tiles that overlap by {overlap} are exact"
        )
        numbers = {"reach_px": float(reach), "reach_of_99_percent_px": float(effective)}
        if not everywhere:
            numbers["tile_overlap_px"] = float(overlap)
        return Finding(self.name, reconstructor.name, numbers, reading, picture=_heat(change))


def distances(size: int, start: int) -> Float[Tensor, "size size"]:
    """How far each pixel lies from the patch, along the axis where it is farther."""
    line = torch.arange(size)
    outside = torch.maximum(start - line, line - (start + PATCH_PX - 1)).clamp(min=0).float()
    return torch.maximum(outside[:, None], outside[None, :])


def reach_of(change: Float[Tensor, "size size"], start: int) -> int:
    """Largest distance of a changed pixel; 0 where only the patch itself changes."""
    touched = change > ROUNDING_LEVELS
    return int((distances(len(change), start) * touched).max())


def effective_reach(change: Float[Tensor, "size size"], start: int) -> int:
    """Distance within which 99 % of the squared change lies."""
    away = distances(len(change), start).long().flatten()
    energy = torch.zeros(int(away.max()) + 1, dtype=torch.float64)
    energy.index_add_(0, away, change.double().square().flatten())
    total = energy.sum()
    if total == 0:
        return 0
    return int((energy.cumsum(0) < SHARE * total).sum())


def _heat(change: Float[Tensor, "size size"]) -> Tensor:
    """Logarithmic from 0.001 grey levels (black) to 255 (white)."""
    decades = (change.clamp(1e-3, 255.0).log10() + 3) / (3 + torch.tensor(255.0).log10())
    return (255 * decades).round().byte().expand(3, -1, -1).contiguous()
