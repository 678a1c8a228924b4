"""ResidualBlock: two convolutions beside a shortcut, with optional modulation and noise."""

from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .block_config import BlockConfig
from .causal_conv import CausalConv3d
from .conditions import Conditions
from .noise_injection import NoiseInjection
from .norm import PositionLayerNorm, make_norm
from .stream_state import StreamState, align_shortcut
from .timestep import modulation


class ResidualBlock(nn.Module):
    """Pre-activation residual block, with a convolution on the shortcut where widths differ.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        temporal_kernel: number of frames that each convolution sees.
        config: options shared by the network.
        noise: whether noise is added after each convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        temporal_kernel: int,
        config: BlockConfig,
        noise: bool = False,
    ) -> None:
        super().__init__()
        kernel, bias = (temporal_kernel, 3), config.block_bias
        self.norm1 = make_norm(in_channels, config)
        self.conv1 = CausalConv3d(in_channels, out_channels, kernel, config=config, bias=bias)
        self.norm2 = make_norm(out_channels, config)
        self.conv2 = CausalConv3d(out_channels, out_channels, kernel, config=config, bias=bias)
        if config.zero_init:
            zero_init(self.conv2)
        self.noise1 = NoiseInjection(out_channels) if noise else None
        self.noise2 = NoiseInjection(out_channels) if noise else None
        self.shortcut = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Sequential(
                PositionLayerNorm(in_channels, 1e-6) if config.shortcut_norm else nn.Identity(),
                CausalConv3d(
                    in_channels, out_channels, (1, config.shortcut_kernel), config=config, bias=bias
                ),
            )
        # Rows: shift and scale before the first convolution, then before the second.
        modulated = config.timestep and in_channels == out_channels
        self.scale_shift_table = (
            nn.Parameter(torch.randn(4, in_channels) / in_channels**0.5) if modulated else None
        )

    def forward(
        self,
        x: Float[Tensor, "B Cin T H W"],
        state: StreamState | None = None,
        conditions: Conditions = Conditions(),
        embedding: Float[Tensor, "B D"] | None = None,
    ) -> Float[Tensor, "B Cout T2 H W"]:
        """Add two convolutions of `x` to its shortcut."""
        shift1 = scale1 = shift2 = scale2 = None
        if self.scale_shift_table is not None and embedding is not None:
            shift1, scale1, shift2, scale2 = modulation(self.scale_shift_table, embedding)
        # One name for every step, so that activations are freed before the next convolution
        h = F.silu(_modulate(self.norm1(x), shift1, scale1))
        h = self.conv1(h, state)
        h = h if self.noise1 is None else self.noise1(h, conditions)
        h = F.silu(_modulate(self.norm2(h), shift2, scale2))
        h = self.conv2(h, state)
        h = h if self.noise2 is None else self.noise2(h, conditions)
        return self.shortcut(align_shortcut(self, x, h, state)) + h


def _modulate(x: Tensor, shift: Tensor | None, scale: Tensor | None) -> Tensor:
    return x if shift is None or scale is None else x * (1 + scale) + shift


Layer = TypeVar("Layer", bound=nn.Module)


def zero_init(layer: Layer) -> Layer:
    """Set every parameter of `layer` to zero and return it."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
