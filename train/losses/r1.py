"""R1: penalty on the discriminator's gradient at originals (arXiv 1801.04406).

R1 = 1/2 mean_n |d D_n / d x_n|^2,    D_n the sum of the patch logits of image or clip n

Its weight is StyleGAN's gamma. MAGVIT's penalty lacks the 1/2: its cost 10 is a weight of 20 here.
Norms over the batch would mix the samples, whose gradients then are not their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from .adversarial import Logits, Scalar


def r1_penalty(
    discriminator: nn.Module, logits: Logits, pixels: Float[Tensor, "B 3 T H W"]
) -> Scalar:
    """Return R1 of the logits that a discriminator gave to pixels that require a gradient."""
    with _keep_gathered(discriminator):
        (gradient,) = torch.autograd.grad(logits.sum(), pixels, create_graph=True)
    # Mean over logits: there is one per clip, or one per frame.
    return 0.5 * gradient.square().sum() / len(logits)


@contextmanager
def _keep_gathered(discriminator: nn.Module) -> Iterator[None]:
    """Keep FSDP2 from freeing the gathered weights: another backward pass follows this one."""
    if not isinstance(discriminator, FSDPModule):
        yield
        return
    discriminator.set_reshard_after_backward(False)
    try:
        yield
    finally:
        discriminator.set_reshard_after_backward(True)
