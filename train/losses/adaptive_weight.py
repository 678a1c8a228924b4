"""The adaptive adversarial weight of VQGAN (arXiv 2012.09841).

w = min(|d R / d L| / (|d G / d L| + 1e-4), 1e4)

R is the reconstruction loss, G the generator's adversarial loss, L the weight of the decoder's last
layer: both losses then pull equally hard at the output. The gradients are those of the global
batch.

In fp16 the gradients of means over many pixels underflow. There both losses are multiplied by the
factor of the gradient scaler and the norms divided by it again, which leaves w as it is.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.amp import GradScaler

from ...distributed import all_reduce_sum, rank_and_world_size
from .adversarial import Scalar

LARGEST = 1e4

# Divisor of the factor on the losses after gradients that overflowed.
BACK_OFF = 16


def adaptive_weight(
    reconstruction: Scalar,
    generator: Scalar,
    last_layer: Float[Tensor, "..."],
    scaler: GradScaler | None = None,
) -> Scalar:
    """Return the weight, detached; 0 where there is no graph, as in evaluation.

    Args:
        reconstruction: R.
        generator: G.
        last_layer: L.
        scaler: the scaler of the losses (fp16).

    Raises:
        ValueError: the last layer has no gradient of its own.
    """
    if not (reconstruction.requires_grad and generator.requires_grad):
        return reconstruction.new_zeros(())
    losses = (reconstruction, generator)
    loss_scale = 1.0 if scaler is None else scaler.get_scale()
    norms = _gradient_norms(losses, last_layer, loss_scale)
    while loss_scale > 1 and not norms.isfinite().all():
        loss_scale = max(1.0, loss_scale / BACK_OFF)
        norms = _gradient_norms(losses, last_layer, loss_scale)
    reconstruction_norm, generator_norm = norms
    return (reconstruction_norm / (generator_norm + 1e-4)).clamp(0, LARGEST).detach()


def _gradient_norms(
    losses: tuple[Scalar, Scalar], last_layer: Tensor, loss_scale: float
) -> Float[Tensor, "2"]:
    """Return the norm of each loss's gradient over the global batch, computed at a loss scale."""
    gradients = [_gradient(loss_scale * loss, last_layer) for loss in losses]
    whole = all_reduce_sum(torch.stack(gradients).float()) / rank_and_world_size()[1]
    return whole.flatten(1).norm(dim=1) / loss_scale


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
