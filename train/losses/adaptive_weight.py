"""The adaptive adversarial weight of VQGAN (arXiv 2012.09841).

w = min(|d R / d L| / (|d G / d L| + 1e-4), 1e4)

R is the reconstruction loss, G the generator's adversarial loss, L the weight of the decoder's last
layer: both losses then pull equally hard at the output. Gradients are those of the global batch.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ...distributed import all_reduce_sum, rank_and_world_size
from .adversarial import Scalar

LARGEST = 1e4


def adaptive_weight(
    reconstruction: Scalar, generator: Scalar, last_layer: Float[Tensor, "..."]
) -> Scalar:
    """The weight, detached; 0 where there is no graph, as in evaluation.

    Raises:
        ValueError: the last layer has no gradient of its own.
    """
    if not (reconstruction.requires_grad and generator.requires_grad):
        return reconstruction.new_zeros(())
    slopes = [_slope(loss, last_layer) for loss in (reconstruction, generator)]
    whole = all_reduce_sum(torch.stack(slopes).float()) / rank_and_world_size()[1]
    reconstruction_slope, generator_slope = whole.flatten(1).norm(dim=1)
    return (reconstruction_slope / (generator_slope + 1e-4)).clamp(0, LARGEST).detach()


def _slope(loss: Scalar, last_layer: Tensor) -> Tensor:
    slope = None
    if last_layer.requires_grad:
        (slope,) = torch.autograd.grad(loss, last_layer, retain_graph=True, allow_unused=True)
    if slope is None:
        raise ValueError(
            "train.adversarial.adaptive compares gradients at the weight of the decoder's last "
            "layer, and this one takes no part in the reconstruction as it is: it must be neither "
            "frozen nor sharded. Set train.adversarial.adaptive=false for a fixed weight"
        )
    return slope
