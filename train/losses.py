"""Reconstruction losses between pixels in [-1, 1], averaged over all elements.

L1 = mean |y - x|      L2 = mean (y - x)^2
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Pixels = Float[Tensor, "B 3 T H W"]


def l1_loss(reconstruction: Pixels, pixels: Pixels) -> Float[Tensor, ""]:
    """Mean absolute error, in fp32."""
    return F.l1_loss(reconstruction.float(), pixels.float())


def l2_loss(reconstruction: Pixels, pixels: Pixels) -> Float[Tensor, ""]:
    """Mean squared error, in fp32."""
    return F.mse_loss(reconstruction.float(), pixels.float())
