"""NoiseInjection: learned noise on feature maps, as in StyleGAN (arXiv 1812.04948).

Each call draws one plane of N(0, 1), shared by clips, channels and frames; each channel scales it
by a learned factor.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .conditions import Conditions


class NoiseInjection(nn.Module):
    """Layer that adds a plane of noise; its factors start at zero.

    Args:
        channels: channels of the activations.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(channels))

    def extra_repr(self) -> str:
        """Describe the number of channels for `repr`."""
        return str(len(self.scale))

    def forward(
        self, x: Float[Tensor, "B C T H W"], conditions: Conditions
    ) -> Float[Tensor, "B C T H W"]:
        """Draw a plane of noise and add it to `x`."""
        plane = torch.randn(
            x.shape[3:], generator=conditions.generator, device=x.device, dtype=x.dtype
        )
        return x + self.scale.view(1, -1, 1, 1, 1) * plane
