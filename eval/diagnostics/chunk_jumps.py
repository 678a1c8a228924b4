"""Jumps at chunk boundaries: a video model codes chunks of frames, which may not join smoothly.

The motion error between frames t and t + 1 of original x and reconstruction y,

    e_t = mean |(y_{t+1} - y_t) - (x_{t+1} - x_t)|        in gray levels,

is compared between boundaries (every p-th transition, starting with the k-th) and all others. Since
a model does not state where it joins its chunks, all periods and phases are tried; the ratio that
such a search finds by chance is estimated by shuffling the transitions.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ..reconstructors.reconstructor import Reconstructor
from .diagnostic import Diagnostic, DiagnosticInputs, NotExaminedError, levels, round_trip
from .finding import Finding

SHUFFLES = 200
MIN_FRAMES = 9
VISIBLE_RATIO = 1.5


class ChunkJumps(Diagnostic):
    """The motion error at the worst period against all other transitions."""

    name = "chunk_jumps"

    def run(self, reconstructor: Reconstructor, inputs: DiagnosticInputs) -> Finding:
        """Search for the period and phase with the largest jumps."""
        if inputs.clips is None or inputs.clips.shape[2] < MIN_FRAMES:
            raise NotExaminedError(f"needs clips of at least {MIN_FRAMES} frames")
        before = inputs.clips.float()
        after = levels(round_trip(reconstructor, inputs.clips))
        error = (after.diff(dim=2) - before.diff(dim=2)).abs().mean(dim=(0, 1, 3, 4))
        ratio, period, phase = strongest_period(error)
        chance = chance_ratio(error)
        jumps = ratio > max(VISIBLE_RATIO, chance)
        summary = (
            f"motion jumps after frame {phase} and every {period} frames from there, with "
            f"{ratio:.1f} times the error of other transitions"
            if jumps
            else f"no regular jumps (largest ratio: {ratio:.2f}, within chance: {chance:.2f})"
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
            summary,
        )


def strongest_period(error: Float[Tensor, "T"]) -> tuple[float, int, int]:
    """Find the largest ratio of boundaries to other transitions; return it, period and phase."""
    T = len(error)
    best = (1.0, 1, 0)
    for period in range(2, T // 2 + 1):
        for phase in range(period):
            at = torch.arange(T) % period == phase
            # At least two boundaries: a single large transition is a cut, not a period.
            if at.sum() >= 2:
                ratio = (error[at].mean() / error[~at].mean().clamp(min=1e-6)).item()
                best = max(best, (ratio, period, phase))
    return best


def chance_ratio(error: Float[Tensor, "T"]) -> float:
    """Estimate the largest ratio by chance: the 95 % quantile over shuffled transitions."""
    generator = torch.Generator().manual_seed(0)
    ratios = [
        strongest_period(error[torch.randperm(len(error), generator=generator)])[0]
        for _ in range(SHUFFLES)
    ]
    return torch.tensor(ratios).quantile(0.95).item()
