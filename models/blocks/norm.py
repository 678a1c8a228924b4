"""Normalisations of (B, C, T, H, W) activations.

`rms`     y = g * x / sqrt(mean_c(x^2) + eps), every position alone (arXiv 1910.07467 over channels)
`pixel`   the same without the gain (arXiv 1710.10196)
`group`   group normalisation (arXiv 1803.08494), every frame alone
`clip_group`  the same over whole clips
`none`    the activations as they are; small nets trained for PSNR do well without
          (arXiv 1707.02921)

All but `clip_group` leave frames apart, so that causality holds; with it a clip cannot be streamed.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .block_config import BlockConfig

GROUPS = 32
USUAL_EPS = {"rms": 1e-6, "pixel": 1e-8, "group": 1e-6, "clip_group": 1e-6}


def make_norm(channels: int, style: BlockConfig) -> nn.Module:
    """The normalisation that a style asks for."""
    if style.norm == "none":
        return nn.Identity()
    eps = USUAL_EPS[style.norm] if style.norm_eps is None else style.norm_eps
    if style.norm in ("group", "clip_group"):
        return make_group_norm(channels, style, eps)
    return RMSNorm(channels, eps, gain=style.norm == "rms")


def make_group_norm(
    channels: int, style: BlockConfig, eps: float, affine: bool = True
) -> nn.GroupNorm:
    """Group norm over whole clips where the style says so, else frame by frame."""
    if channels % GROUPS:
        raise ValueError(
            f"group norm needs channels divisible by {GROUPS}, got {channels}; "
            "choose another width or norm: rms"
        )
    kind = nn.GroupNorm if style.norm == "clip_group" else FrameGroupNorm
    return kind(GROUPS, channels, eps, affine)


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

    def forward(self, input: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
        """Normalise every frame."""
        B, C, T, H, W = input.shape
        frames = input.transpose(1, 2).reshape(B * T, C, H, W)
        y = F.group_norm(frames, self.num_groups, self.weight, self.bias, self.eps)
        return y.view(B, T, C, H, W).transpose(1, 2)
