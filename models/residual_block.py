"""ResidualBlock: norm, SiLU, convolution, twice, beside a shortcut."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .causal_conv import CausalConv3d, TemporalPadding
from .norm import NORMS, NormKind
from .stream_state import StreamState
from .zero_init import zero_init


class ResidualBlock(nn.Module):
    """Pre-activation residual block; a 1x1x1 convolution on the shortcut where widths differ."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        temporal_kernel: int,
        norm: NormKind,
        temporal_padding: TemporalPadding,
    ) -> None:
        super().__init__()
        kernel = (temporal_kernel, 3)
        self.norm1 = NORMS[norm](in_channels)
        self.conv1 = CausalConv3d(
            in_channels, out_channels, kernel, temporal_padding=temporal_padding
        )
        self.norm2 = NORMS[norm](out_channels)
        self.conv2 = zero_init(
            CausalConv3d(out_channels, out_channels, kernel, temporal_padding=temporal_padding)
        )
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else CausalConv3d(in_channels, out_channels, kernel=(1, 1))
        )

    def forward(
        self, x: Float[Tensor, "B Cin T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout T H W"]:
        """Add two convolutions of `x` to its shortcut."""
        h = self.conv1(F.silu(self.norm1(x)), state)
        h = self.conv2(F.silu(self.norm2(h)), state)
        return self.shortcut(x) + h
