"""The adaptive adversarial weight of VQGAN (arXiv 2012.09841).

w = min(|d R / d L| / (|d G / d L| + 1e-4), 1e4)

R is the reconstruction loss, G the generator's adversarial loss, L the weight of the decoder's last
layer: both losses then pull equally hard at the output. The gradients are those of the global
batch.
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
    """Return the weight, detached; 0 where there is no graph, as in evaluation.

    Args:
        reconstruction: R.
        generator: G.
        last_layer: L.

    Raises:
        ValueError: the last layer has no gradient of its own.
    """
    if not (reconstruction.requires_grad and generator.requires_grad):
        return reconstruction.new_zeros(())
    gradients = [_gradient(loss, last_layer) for loss in (reconstruction, generator)]
    whole = all_reduce_sum(torch.stack(gradients).float()) / rank_and_world_size()[1]
    reconstruction_norm, generator_norm = whole.flatten(1).norm(dim=1)
    return (reconstruction_norm / (generator_norm + 1e-4)).clamp(0, LARGEST).detach()


def _gradient(loss: Scalar, last_layer: Tensor) -> Tensor:
    gradient = None
    if last_layer.requires_grad:
        (gradient,) = torch.autograd.grad(loss, last_layer, retain_graph=True, allow_unused=True)
    if gradient is None:
        raise ValueError(
            "train.adversarial.adaptive compares gradients at the weight of the decoder's last "
            "layer, but the reconstruction does not depend on it: the layer must be neither frozen "
            "nor sharded. Set train.adversarial.adaptive=false for a fixed weight"
        )
    return gradient
