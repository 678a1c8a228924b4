"""Normalisations of (B, C, T, H, W) activations that never mix frames, so that causality holds.

`rms`     y = g * x / sqrt(mean_c(x^2) + eps), every position alone (arXiv 1910.07467 over channels)
`pixel`   the same without the gain (arXiv 1710.10196)
`group`   group normalisation (arXiv 1803.08494), every frame alone
`none`    the activations as they are; small nets trained for PSNR do well without
          (arXiv 1707.02921)
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .block_style import BlockStyle

GROUPS = 32
USUAL_EPS = {"rms": 1e-6, "pixel": 1e-8, "group": 1e-6}


def make_norm(channels: int, style: BlockStyle) -> nn.Module:
    """The normalisation that a style asks for."""
    if style.norm == "none":
        return nn.Identity()
    eps = USUAL_EPS[style.norm] if style.norm_eps is None else style.norm_eps
    if style.norm == "group":
        return FrameGroupNorm(channels, eps)
    return RMSNorm(channels, eps, gain=style.norm == "rms")


class RMSNorm(nn.Module):
    """Root-mean-square norm over channels at each position."""

    def __init__(self, channels: int, eps: float, gain: bool) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if gain else None

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
        """Normalise; the mean square is taken in fp32 or better."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        y = wide * torch.rsqrt(wide.square().mean(dim=1, keepdim=True) + self.eps)
        y = y.to(x.dtype)
        return y if self.weight is None else y * self.weight.view(1, -1, 1, 1, 1)


class PositionLayerNorm(nn.LayerNorm):
    """Layer norm over channels at each position."""

    def forward(self, input: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
        """Normalise."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class FrameGroupNorm(nn.GroupNorm):
    """Group norm whose statistics are those of one frame."""

    def __init__(self, channels: int, eps: float, affine: bool = True) -> None:
        if channels % GROUPS:
            raise ValueError(
                f"group norm needs channels divisible by {GROUPS}, got {channels}; "
                "choose another width or norm: rms"
            )
        super().__init__(GROUPS, channels, eps, affine)

    def forward(self, input: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
        """Normalise every frame."""
        B, C, T, H, W = input.shape
        frames = input.transpose(1, 2).reshape(B * T, C, H, W)
        y = F.group_norm(frames, self.num_groups, self.weight, self.bias, self.eps)
        return y.view(B, T, C, H, W).transpose(1, 2)
