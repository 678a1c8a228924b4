"""R1: the discriminator's slope at originals (arXiv 1801.04406).

R1 = 1/2 mean_n |d D_n / d x_n|^2,    D_n the mean logit of what the discriminator judges
"""

import torch
from jaxtyping import Float
from torch import Tensor

from .adversarial_loss import Logits, Scalar, per_picture


def r1_penalty(logits: Logits, pixels: Float[Tensor, "B 3 T H W"]) -> Scalar:
    """R1 of logits that were computed from these pixels, which require a gradient."""
    total = per_picture(logits).sum()
    (slope,) = torch.autograd.grad(total, pixels, create_graph=True)
    # Over what was judged: clips, or frames.
    return 0.5 * slope.square().sum() / len(logits)
