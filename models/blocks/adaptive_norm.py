"""AdaptiveGroupNorm: group norm whose gain and shift follow the statistics of the latents.

WeTok (arXiv 2508.05599):   y = gamma(s) * GroupNorm(x) + beta(m),
where m and s are the mean and the (unbiased) standard deviation of the latents per channel, over
all positions of a frame (or of the clip, if the network's group norms span clips).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .block_config import BlockConfig
from .conditions import Conditions
from .norm import make_group_norm

VARIANCE_EPS = 1e-6


class AdaptiveGroupNorm(nn.Module):
    """Group norm modulated by latent statistics.

    Args:
        channels: channels of the activations.
        latent_channels: channels of the latents.
        config: options shared by the network; `norm` decides whether statistics span clips.
    """

    def __init__(
        self, channels: int, latent_channels: int, config: BlockConfig = BlockConfig(norm="group")
    ) -> None:
        super().__init__()
        self.norm = make_group_norm(channels, config, eps=1e-6, affine=False)
        self.spans_clips = config.norm == "clip_group"
        self.gamma = nn.Linear(latent_channels, channels)
        self.beta = nn.Linear(latent_channels, channels)

    def forward(
        self, x: Float[Tensor, "B C T H W"], conditions: Conditions
    ) -> Float[Tensor, "B C T H W"]:
        """Normalize `x` and modulate it by the latents."""
        latents = conditions.latents
        assert latents is not None, "the decoder adds its latents"
        wide = latents.to(torch.promote_types(latents.dtype, torch.float32))
        positions = wide.flatten(2).unsqueeze(2) if self.spans_clips else wide.flatten(3)
        if positions.shape[3] < 2:
            raise ValueError(
                "adaptive norm needs latents of at least 2 positions to take their variance, "
                f"got a grid of {tuple(latents.shape[2:])}; decode a larger image"
            )
        deviation = torch.sqrt(positions.var(dim=3) + VARIANCE_EPS)
        gain = _per_frame(self.gamma, deviation.to(x.dtype))
        shift = _per_frame(self.beta, positions.mean(dim=3).to(x.dtype))
        return gain * self.norm(x) + shift


def _per_frame(linear: nn.Linear, statistics: Float[Tensor, "B D t"]) -> Float[Tensor, "B C t 1 1"]:
    return linear(statistics.transpose(1, 2)).transpose(1, 2)[..., None, None]
