"""Learning-rate schedules: the factor on the peak rate, as plain functions of the step."""

from collections.abc import Callable
from math import cos, pi
from typing import Literal

ScheduleName = Literal["constant", "cosine", "linear"]


def learning_rate_factor(
    schedule: ScheduleName, warmup_steps: int, steps: int, final_factor: float
) -> Callable[[int], float]:
    """The factor as a function of the step (0-based): linear warm-up, then the schedule.

    Args:
        schedule: constant; or cosine or linear decay to `final_factor` at the last step.
        warmup_steps: steps in which the factor rises linearly from 1/warmup_steps to 1.
        steps: length of the run.
        final_factor: what is left of the peak rate at the end, in [0, 1].
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min(1.0, (step - warmup_steps) / max(1, steps - 1 - warmup_steps))
        if schedule == "cosine":
            return final_factor + (1 - final_factor) * 0.5 * (1 + cos(pi * progress))
        if schedule == "linear":
            return final_factor + (1 - final_factor) * (1 - progress)
        return 1.0

    return factor
