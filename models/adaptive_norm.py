"""AdaptiveGroupNorm: group norm whose gain and shift follow the statistics of the latents.

WeTok (arXiv 2508.05599):   y = gamma(s) * GroupNorm(x) + beta(m),
with m and s the mean and (unbiased) standard deviation of the latents over all positions, per
channel.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .conditions import Conditions
from .norm import FrameGroupNorm

VARIANCE_EPS = 1e-6


class AdaptiveGroupNorm(nn.Module):
    """Group norm modulated by latent statistics.

    Args:
        channels: of the activations.
        style_channels: of the latents.
    """

    def __init__(self, channels: int, style_channels: int) -> None:
        super().__init__()
        self.norm = FrameGroupNorm(channels, eps=1e-6, affine=False)
        self.gamma = nn.Linear(style_channels, channels)
        self.beta = nn.Linear(style_channels, channels)

    def forward(
        self, x: Float[Tensor, "B C T H W"], conditions: Conditions
    ) -> Float[Tensor, "B C T H W"]:
        """Normalise and modulate."""
        style = conditions.style
        assert style is not None, "the decoder passes its latents as style"
        positions = style.flatten(2)
        if positions.shape[2] < 2:
            raise ValueError(
                "adaptive norm needs latents of at least 2 positions to take their variance, "
                f"got a grid of {tuple(style.shape[2:])}; decode a larger picture"
            )
        deviation = torch.sqrt(positions.var(dim=2) + VARIANCE_EPS)
        gain = self.gamma(deviation)[:, :, None, None, None]
        shift = self.beta(positions.mean(dim=2))[:, :, None, None, None]
        return gain * self.norm(x) + shift
