"""Learning-rate schedules: the factor on the peak rate, as plain functions of the step.

With p from 0 at the end of the warm-up to 1 at the last step, and f the factor at the end:

    constant        1
    cosine          f + (1 - f) (1 + cos(pi p)) / 2
    linear          f + (1 - f) (1 - p)
    hold_linear     1 while p < 0.05, then f + (1 - f) (1 - p) / 0.95
    clamped_cosine  max(f, (1 + cos(pi p)) / 2), with p = 1 one step after the last

Warm-up over w steps: (s + 1) / w at step s = 0, 1, ...; or, with a start factor b,
b + (1 - b) s / w. WeTok's code has these as LambdaWarmUpCosine (clamped_cosine, b = 0) and VAR's
lin0 and cos (hold_linear and cosine, b = 0.005, f = 0.01). A schedule that starts at a later step
counts from there on, as that of TiTok's and UniTok's discriminators does.
"""

from collections.abc import Callable
from math import cos, pi
from typing import Literal

ScheduleName = Literal["constant", "cosine", "linear", "hold_linear", "clamped_cosine"]

HOLD_SHARE = 0.05


def learning_rate_factor(
    schedule: ScheduleName,
    warmup_steps: int,
    steps: int,
    final_factor: float,
    *,
    warmup_start_factor: float | None = None,
    start_step: int = 0,
) -> Callable[[int], float]:
    """Return the factor as a function of the step (0-based): linear warm-up, then the schedule.

    Args:
        schedule: shape after the warm-up.
        warmup_steps: length of the warm-up, in steps.
        steps: length of the run, in steps.
        final_factor: factor at the end, in [0, 1].
        warmup_start_factor: factor at the first step; None starts at 1 / warmup_steps, so that no
            step is wasted.
        start_step: step at which the warm-up starts; the factor is 0 before it.
    """
    length = steps - start_step
    last = length if schedule == "clamped_cosine" else length - 1

    def factor(step: int) -> float:
        step -= start_step
        if step < 0:
            return 0.0
        if step < warmup_steps:
            if warmup_start_factor is None:
                return (step + 1) / warmup_steps
            return warmup_start_factor + (1 - warmup_start_factor) * step / warmup_steps
        p = min(1.0, (step - warmup_steps) / max(1, last - warmup_steps))
        half_wave = 0.5 * (1 + cos(pi * p))
        match schedule:
            case "constant":
                return 1.0
            case "cosine":
                return final_factor + (1 - final_factor) * half_wave
            case "linear":
                return final_factor + (1 - final_factor) * (1 - p)
            case "hold_linear":
                return (
                    1.0
                    if p < HOLD_SHARE
                    else final_factor + (1 - final_factor) * (1 - p) / (1 - HOLD_SHARE)
                )
            case "clamped_cosine":
                return max(final_factor, half_wave)

    return factor
