"""Normalisations of (B, C, T, H, W) activations that never mix frames, so that causality holds.

`rms`     y = g * x / sqrt(mean_c(x^2) + eps), every position alone (arXiv 1910.07467 over channels)
`group`   group normalisation (arXiv 1803.08494), every frame alone
`none`    the activations as they are; small nets trained for PSNR do well without (arXiv
1707.02921)
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

NormKind = Literal["rms", "group", "none"]


class RMSNorm(nn.Module):
    """Root-mean-square norm over channels at each position, with a learned gain per channel."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
        """Normalise; the mean square is taken in fp32 or better."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean_square = wide.square().mean(dim=1, keepdim=True)
        scale = torch.rsqrt(mean_square + self.eps).to(x.dtype)
        return x * scale * self.weight.view(1, -1, 1, 1, 1)


class FrameGroupNorm(nn.GroupNorm):
    """Group norm whose statistics are those of one frame."""

    def __init__(self, channels: int, groups: int = 32, eps: float = 1e-6) -> None:
        if channels % groups:
            raise ValueError(
                f"group norm needs channels divisible by {groups}, got {channels}; "
                "choose another width or norm: rms"
            )
        super().__init__(groups, channels, eps)

    def forward(self, input: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
        """Normalise every frame."""
        frames = input.transpose(1, 2)
        y = F.group_norm(frames.flatten(0, 1), self.num_groups, self.weight, self.bias, self.eps)
        return y.view(frames.shape).transpose(1, 2)


class NoNorm(nn.Module):
    """No normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
        """Return `x`."""
        return x


NORMS: dict[NormKind, type[RMSNorm] | type[FrameGroupNorm] | type[NoNorm]] = {
    "rms": RMSNorm,
    "group": FrameGroupNorm,
    "none": NoNorm,
}
