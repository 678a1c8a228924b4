"""The generator's objective: what one training step minimises.

loss = l1_weight * L1 + l2_weight * L2 + bottleneck loss
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..tokenizers.encoding import Output
from .losses import l1_loss, l2_loss
from .run_config import Losses


@dataclass(frozen=True)
class Objective:
    """A loss with the terms it is made of.

    Attributes:
        loss: what is minimised, a scalar.
        terms: every term unweighted, detached; the keys are the same at every step.
    """

    loss: Float[Tensor, ""]
    terms: dict[str, Tensor]

    def detached(self) -> "Objective":
        """The same figures without the graph behind them."""
        return Objective(self.loss.detach(), self.terms)


def generator_objective(
    output: Output, pixels: Float[Tensor, "B 3 T H W"], weights: Losses
) -> Objective:
    """Weigh the reconstruction and bottleneck terms of one forward pass."""
    l1, l2 = l1_loss(output.pixels, pixels), l2_loss(output.pixels, pixels)
    loss = weights.l1_weight * l1 + weights.l2_weight * l2 + output.loss
    terms = {"l1": l1, "l2": l2, **output.terms}
    return Objective(loss, {name: term.detach() for name, term in terms.items()})


def training_psnr(l2: Tensor) -> Tensor:
    """PSNR in dB of a mean squared error over pixels in [-1, 1] (peak to peak 2), unclamped."""
    return 10 * torch.log10(4.0 / l2)
