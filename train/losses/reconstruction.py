"""Reconstruction losses between pixels in [-1, 1], averaged over all elements, in fp32.

L1                  mean |y - x|
L2                  mean (y - x)^2
Charbonnier         mean sqrt((y - x)^2 + eps^2)            (smooth L1; arXiv 1710.01992)
temporal difference mean |(y_t+1 - y_t) - (x_t+1 - x_t)|    (flicker; 0 for images)

`ReconstructionLoss` is the base class of losses from outside the package.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Pixels = Float[Tensor, "B 3 T H W"]

CHARBONNIER_EPS = 1e-3


class ReconstructionLoss(nn.Module, ABC):
    """A term of the tokenizer's objective that compares reconstructions with their originals.

    It learns nothing: its weights are frozen, it stays in eval mode, and checkpoints leave it out.
    """

    @abstractmethod
    def forward(self, reconstruction: Pixels, pixels: Pixels) -> Float[Tensor, ""]:
        """Return the loss of a batch, low where the reconstruction is good; outside autocast.

        Args:
            reconstruction: fp32, unclamped, with the graph of the tokenizer.
            pixels: the originals, fp32 in [-1, 1].
        """


def l1_loss(reconstruction: Pixels, pixels: Pixels) -> Float[Tensor, ""]:
    """Return the mean absolute error."""
    return F.l1_loss(reconstruction.float(), pixels.float())


def l2_loss(reconstruction: Pixels, pixels: Pixels) -> Float[Tensor, ""]:
    """Return the mean squared error."""
    return F.mse_loss(reconstruction.float(), pixels.float())


def charbonnier_loss(reconstruction: Pixels, pixels: Pixels) -> Float[Tensor, ""]:
    """Return the Charbonnier loss: the mean absolute error, smooth at zero."""
    error = reconstruction.float() - pixels.float()
    return torch.sqrt(error.square() + CHARBONNIER_EPS**2).mean()


def temporal_difference_loss(reconstruction: Pixels, pixels: Pixels) -> Float[Tensor, ""]:
    """Return the mean absolute error of the differences between consecutive frames."""
    error = reconstruction.float() - pixels.float()
    flicker = error.diff(dim=2).abs()
    return flicker.sum() / max(1, flicker.numel())
