"""NoiseInjection: learned noise on feature maps, as in StyleGAN (arXiv 1812.04948).

One plane of N(0, 1) per call, shared by clips, channels and frames, times a learned factor per
channel.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .conditions import Conditions


class NoiseInjection(nn.Module):
    """Adds a plane of noise; the factors start at zero.

    Args:
        channels: of the activations.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(channels))

    def forward(
        self, x: Float[Tensor, "B C T H W"], conditions: Conditions
    ) -> Float[Tensor, "B C T H W"]:
        """Draw and add."""
        if conditions.noise_strength == 0:
            return x
        plane = torch.randn(
            x.shape[3:], generator=conditions.generator, device=x.device, dtype=x.dtype
        )
        return x + conditions.noise_strength * self.scale.view(1, -1, 1, 1, 1) * plane
