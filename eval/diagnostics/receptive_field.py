"""Receptive field: how far a change of the input reaches, and the tile overlap this requires.

A small patch in the middle is replaced by noise; every output pixel that changes by more than
rounding is within reach. Tiles that overlap by the reach (in multiples of 8) are equivalent to the
whole image. For networks with an unlimited receptive field, the distance that contains 99 % of the
squared change indicates a useful blended overlap.
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
MIN_SIZE_PX = 64


class ReceptiveField(Diagnostic):
    """Reach of a change, in pixels from the changed patch."""

    name = "receptive_field"

    def run(self, reconstructor: Reconstructor, inputs: DiagnosticInputs) -> Finding:
        """Replace the middle of an image by several noise patches, one at a time."""
        size = inputs.size
        if size < MIN_SIZE_PX:
            raise NotExaminedError(f"needs images of at least {MIN_SIZE_PX} pixels, got {size}")
        image = inputs.images[:1]
        start = (size - PATCH_PX) // 2
        inside = slice(start, start + PATCH_PX)
        generator = torch.Generator().manual_seed(0)
        whole = levels(round_trip(reconstructor, image))
        change = torch.zeros(size, size)
        for _ in range(NUM_PATCHES):
            noise = torch.randint(0, 256, (3, 1, PATCH_PX, PATCH_PX), generator=generator)
            changed = image.clone()
            changed[0, :, :, inside, inside] = noise.byte()
            difference = (levels(round_trip(reconstructor, changed)) - whole).abs()
            change = torch.maximum(change, difference[0, :, 0].amax(dim=0))
        reach = reach_of(change, start)
        effective = effective_reach(change, start)
        edge = start  # pixels between the patch and the nearest border
        everywhere = reach >= edge
        overlap = -(-reach // OVERLAP_STEP_PX) * OVERLAP_STEP_PX
        summary = (
            f"a change reaches the border, at least {edge} pixels away: no overlap of tiles is "
            f"exact, but 99 % of the change is within {effective} pixels"
            if everywhere
            else f"a change reaches {reach} pixels: tiles that overlap by {overlap} are exact"
        )
        numbers = {"reach_px": float(reach), "reach_of_99_percent_px": float(effective)}
        if not everywhere:
            numbers["tile_overlap_px"] = float(overlap)
        return Finding(self.name, reconstructor.name, numbers, summary, image=_heat_map(change))


def distances(size: int, start: int) -> Float[Tensor, "size size"]:
    """Compute each pixel's distance from the patch, the larger of those along the two axes."""
    line = torch.arange(size)
    outside = torch.maximum(start - line, line - (start + PATCH_PX - 1)).clamp(min=0).float()
    return torch.maximum(outside[:, None], outside[None, :])


def reach_of(change: Float[Tensor, "size size"], start: int) -> int:
    """Return the largest distance of a changed pixel; 0 if only the patch itself changes."""
    changed = change > ROUNDING_LEVELS
    return int((distances(len(change), start) * changed).max())


def effective_reach(change: Float[Tensor, "size size"], start: int) -> int:
    """Return the distance that contains 99 % of the squared change."""
    distance = distances(len(change), start).long().flatten()
    energy = torch.zeros(int(distance.max()) + 1, dtype=torch.float64)
    energy.index_add_(0, distance, change.double().square().flatten())
    total = energy.sum()
    if total == 0:
        return 0
    return int((energy.cumsum(0) < SHARE * total).sum())


def _heat_map(change: Float[Tensor, "size size"]) -> Tensor:
    """Draw a change logarithmically, from 0.001 gray levels (black) to 255 (white)."""
    decades = (change.clamp(1e-3, 255.0).log10() + 3) / (3 + torch.tensor(255.0).log10())
    return (255 * decades).round().byte().expand(3, -1, -1).contiguous()
