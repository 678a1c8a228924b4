"""R1: the discriminator's slope at originals (arXiv 1801.04406).

R1 = 1/2 mean_n |d D_n / d x_n|^2,    D_n the mean logit of what the discriminator judges
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from .adversarial import Logits, Scalar, per_picture


def r1_penalty(
    discriminator: nn.Module, logits: Logits, pixels: Float[Tensor, "B 3 T H W"]
) -> Scalar:
    """R1 of the logits that a discriminator gave to pixels that require a gradient."""
    total = per_picture(logits).sum()
    with _weights_stay(discriminator):
        (slope,) = torch.autograd.grad(total, pixels, create_graph=True)
    # Over what was judged: clips, or frames.
    return 0.5 * slope.square().sum() / len(logits)


@contextmanager
def _weights_stay(discriminator: nn.Module) -> Iterator[None]:
    """FSDP2 frees the whole weights after a backward pass; here another one comes after it."""
    if not isinstance(discriminator, FSDPModule):
        yield
        return
    discriminator.set_reshard_after_backward(False)
    try:
        yield
    finally:
        discriminator.set_reshard_after_backward(True)
