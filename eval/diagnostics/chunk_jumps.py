"""Jumps at chunk boundaries: video models work in chunks of frames, and may not join them well.

The error of motion between frames t and t + 1 of original x and reconstruction y,

    e_t = mean |(y_{t+1} - y_t) - (x_{t+1} - x_t)|        in grey levels,

is compared between boundaries (every p-th transition from the k-th on) and all others. Period and
phase are searched for, since a model does not say where it joins its chunks; the ratio that
chance alone reaches in such a search is found by shuffling the transitions.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ..reconstructors.reconstructor import Reconstructor
from .diagnostic import Diagnostic, DiagnosticInputs, NotExaminedError, levels, round_trip
from .finding import Finding

SHUFFLES = 200
FEWEST_FRAMES = 9
WORTH_TELLING = 1.5


class ChunkJumps(Diagnostic):
    """The motion error at the worst period against all other transitions."""

    name = "chunk_jumps"

    def run(self, reconstructor: Reconstructor, material: DiagnosticInputs) -> Finding:
        """Search the period and phase with the largest jumps."""
        if material.clips is None or material.clips.shape[2] < FEWEST_FRAMES:
            raise NotExaminedError(f"needs clips of at least {FEWEST_FRAMES} frames")
        before = material.clips.float()
        after = levels(round_trip(reconstructor, material.clips))
        error = (after.diff(dim=2) - before.diff(dim=2)).abs().mean(dim=(0, 1, 3, 4))
        ratio, period, phase = strongest_period(error)
        chance = chance_ratio(error)
        jumps = ratio > max(WORTH_TELLING, chance)
        reading = (
            f"motion jumps after frame {phase} and every {period} frames from there: "
            f"{ratio:.1f} times the error of other transitions"
            if jumps
            else f"no regular jumps (the strongest, {ratio:.2f}, is within chance, {chance:.2f})"
        )
        return Finding(
            self.name,
            reconstructor.name,
            {
                "ratio": ratio,
                "chance_ratio": chance,
                "period_frames": float(period),
                "motion_error_levels": error.mean().item(),
            },
            reading,
        )


def strongest_period(error: Float[Tensor, "T"]) -> tuple[float, int, int]:
    """The largest ratio of boundaries to other transitions, with its period and phase."""
    T = len(error)
    best = (1.0, 1, 0)
    for period in range(2, T // 2 + 1):
        for phase in range(period):
            at = torch.arange(T) % period == phase
            # Two boundaries at least: a single large transition is a cut, not a period.
            if at.sum() >= 2:
                ratio = (error[at].mean() / error[~at].mean().clamp(min=1e-6)).item()
                best = max(best, (ratio, period, phase))
    return best


def chance_ratio(error: Float[Tensor, "T"]) -> float:
    """What 95 % of shuffled transitions stay below."""
    generator = torch.Generator().manual_seed(0)
    ratios = [
        strongest_period(error[torch.randperm(len(error), generator=generator)])[0]
        for _ in range(SHUFFLES)
    ]
    return torch.tensor(ratios).quantile(0.95).item()
