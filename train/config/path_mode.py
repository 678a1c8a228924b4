"""The path of a dual-path tokenizer that a training step takes: a function of the step alone.

All ranks therefore take the same path, and a resumed run the one that an uninterrupted run would
have taken. OneVAE (arXiv 2508.09857) trains both paths together and does not say how; these modes
and the default, both at every step, are our choice.
"""

from typing import Literal

from ...seeding import shared_draw
from ...tokenizers.bottlenecks.dual_path import PathName

PathMode = Literal["both", "discrete", "continuous", "alternate", "sampled"]


def path_of_step(
    mode: PathMode, discrete_share: float, seed: int, step: int
) -> PathName | Literal["both"]:
    """Return the path of a step.

    Args:
        mode: both, or one of them at every step; in turn, the discrete one at odd steps; or drawn.
        discrete_share: probability of drawing the discrete one.
        seed: of the run.
        step: counted from 1.
    """
    match mode:
        case "alternate":
            return "discrete" if step % 2 else "continuous"
        case "sampled":
            return "discrete" if shared_draw(seed, step) < discrete_share else "continuous"
        case _:
            return mode
