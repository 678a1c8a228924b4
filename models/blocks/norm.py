"""Normalizations of (B, C, T, H, W) activations.

`rms`         y = g * x / sqrt(mean_c(x^2) + eps) at each position (arXiv 1910.07467 over channels)
`pixel`       the same without the gain g (arXiv 1710.10196)
`group`       group normalization (arXiv 1803.08494) of each frame
`clip_group`  group normalization over whole clips
`none`        no normalization; small networks trained for PSNR do well without (arXiv 1707.02921)

All except `clip_group` keep frames separate, so that causality holds; with `clip_group` a clip
cannot be streamed.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .block_config import BlockConfig

GROUPS = 32
DEFAULT_EPS = {"rms": 1e-6, "pixel": 1e-8, "group": 1e-6, "clip_group": 1e-6}


def make_norm(channels: int, config: BlockConfig) -> nn.Module:
    """Return the normalization layer of a config."""
    if config.norm == "none":
        return nn.Identity()
    eps = DEFAULT_EPS[config.norm] if config.norm_eps is None else config.norm_eps
    if config.norm in ("group", "clip_group"):
        return make_group_norm(channels, config, eps)
    return RMSNorm(channels, eps, gain=config.norm == "rms")


def make_group_norm(
    channels: int, config: BlockConfig, eps: float, affine: bool = True
) -> nn.GroupNorm:
    """Return a group norm over whole clips for `norm: clip_group`, else one over single frames."""
    if channels % GROUPS:
        raise ValueError(
            f"group norm needs channels divisible by {GROUPS}, got {channels}; "
            "choose another width or norm: rms"
        )
    kind = nn.GroupNorm if config.norm == "clip_group" else FrameGroupNorm
    return kind(GROUPS, channels, eps, affine)


class RMSNorm(nn.Module):
    """Root-mean-square norm over channels at each position."""

    def __init__(self, channels: int, eps: float, gain: bool) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if gain else None

    def extra_repr(self) -> str:
        """Describe the options for `repr`."""
        return f"eps={self.eps}, gain={self.weight is not None}"

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
        """Normalize `x`, with the mean square taken in fp32 or better."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        y = wide * torch.rsqrt(wide.square().mean(dim=1, keepdim=True) + self.eps)
        y = y.to(x.dtype)
        return y if self.weight is None else y * self.weight.view(1, -1, 1, 1, 1)


class PositionLayerNorm(nn.LayerNorm):
    """Layer norm over channels at each position."""

    def forward(self, input: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
        """Normalize the channels of each position."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class FrameGroupNorm(nn.GroupNorm):
    """Group norm whose statistics are taken over single frames."""

    def forward(self, input: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
        """Normalize each frame by its own statistics."""
        B, C, T, H, W = input.shape
        frames = input.transpose(1, 2).reshape(B * T, C, H, W)
        y = F.group_norm(frames, self.num_groups, self.weight, self.bias, self.eps)
        return y.view(B, T, C, H, W).transpose(1, 2)
