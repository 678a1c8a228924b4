"""AdaptiveGroupNorm: group norm whose gain and shift follow the statistics of the latents.

WeTok (arXiv 2508.05599):   y = gamma(s) * GroupNorm(x) + beta(m),
with m and s the mean and (unbiased) standard deviation of the latents over all positions of a frame
(of the clip, where the network's group norms span clips), per channel.
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
        channels: of the activations.
        style_channels: of the latents.
        style: choices shared by the network; its norm says whether statistics span clips.
    """

    def __init__(
        self, channels: int, style_channels: int, style: BlockConfig = BlockConfig(norm="group")
    ) -> None:
        super().__init__()
        self.norm = make_group_norm(channels, style, eps=1e-6, affine=False)
        self.spans_clips = style.norm == "clip_group"
        self.gamma = nn.Linear(style_channels, channels)
        self.beta = nn.Linear(style_channels, channels)

    def forward(
        self, x: Float[Tensor, "B C T H W"], conditions: Conditions
    ) -> Float[Tensor, "B C T H W"]:
        """Normalise and modulate."""
        latents = conditions.style
        assert latents is not None, "the decoder passes its latents as style"
        wide = latents.to(torch.promote_types(latents.dtype, torch.float32))
        positions = wide.flatten(2).unsqueeze(2) if self.spans_clips else wide.flatten(3)
        if positions.shape[3] < 2:
            raise ValueError(
                "adaptive norm needs latents of at least 2 positions to take their variance, "
                f"got a grid of {tuple(latents.shape[2:])}; decode a larger picture"
            )
        deviation = torch.sqrt(positions.var(dim=3) + VARIANCE_EPS)
        gain = _per_frame(self.gamma, deviation.to(x.dtype))
        shift = _per_frame(self.beta, positions.mean(dim=3).to(x.dtype))
        return gain * self.norm(x) + shift


def _per_frame(linear: nn.Linear, statistics: Float[Tensor, "B D t"]) -> Float[Tensor, "B C t 1 1"]:
    return linear(statistics.transpose(1, 2)).transpose(1, 2)[..., None, None]
