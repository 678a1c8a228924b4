"""Layers that change the resolution: two that shrink (encoder), two that enlarge (decoder).

In time all follow the first-frame rule: 1 + n*f frames <-> 1 + n frames. Shrinking sees copies of
(or zeros before) the first frame; enlarging drops the copies that the first frame would grow.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .causal_conv import CausalConv3d, TemporalPadding
from .patchify import depth_to_space, space_to_depth
from .stage import Stage
from .stream_state import StreamState, continues


def _temporal_kernel(stage: Stage) -> int:
    """Layers that change the frame count look back in time, others follow their stage."""
    return max(stage.temporal_kernel, 3 if stage.time > 1 else 1, stage.time)


class StridedDown(nn.Module):
    """One strided convolution."""

    def __init__(self, stage: Stage, temporal_padding: TemporalPadding) -> None:
        super().__init__()
        self.conv = CausalConv3d(
            stage.width,
            stage.out_width,
            kernel=(_temporal_kernel(stage), 3),
            stride=(stage.time, stage.space),
            temporal_padding=temporal_padding,
        )

    def forward(
        self, x: Float[Tensor, "B Cin T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout t h w"]:
        """Shrink."""
        return self.conv(x, state)


class SpaceToDepthDown(nn.Module):
    """Convolution, then space to depth; the shortcut averages groups of packed channels.

    DC-AE (arXiv 2410.10733), and causal in time as in the LTX-Video VAE (arXiv 2501.00103).
    """

    def __init__(self, stage: Stage, temporal_padding: TemporalPadding) -> None:
        super().__init__()
        self.time, self.space = stage.time, stage.space
        cell = self.time * self.space**2
        self.out_channels = stage.out_width
        if stage.out_width % cell or (stage.width * cell) % stage.out_width:
            raise ValueError(
                f"space_to_depth by {self.time}x{self.space}x{self.space} needs a resample_width "
                f"that is a multiple of {cell} and divides {stage.width} * {cell}, "
                f"got {stage.out_width}"
            )
        self.conv = CausalConv3d(
            stage.width,
            stage.out_width // cell,
            kernel=(_temporal_kernel(stage), 3),
            temporal_padding=temporal_padding,
        )

    def forward(
        self, x: Float[Tensor, "B Cin T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout t h w"]:
        """Shrink."""
        if self.time > 1 and not continues(state):
            x = torch.cat([x[:, :, :1].expand(-1, -1, self.time - 1, -1, -1), x], dim=2)
        h = space_to_depth(self.conv(x, state), self.time, self.space)
        shortcut = space_to_depth(x, self.time, self.space)
        return h + shortcut.unflatten(1, (self.out_channels, -1)).mean(dim=2)


class NearestUp(nn.Module):
    """Nearest-neighbour enlargement, then one convolution."""

    def __init__(self, stage: Stage, temporal_padding: TemporalPadding) -> None:
        super().__init__()
        self.time, self.space = stage.time, stage.space
        self.conv = CausalConv3d(
            stage.width,
            stage.out_width,
            kernel=(_temporal_kernel(stage), 3),
            temporal_padding=temporal_padding,
        )

    def forward(
        self, x: Float[Tensor, "B Cin t h w"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout T H W"]:
        """Enlarge."""
        for dim, factor in ((2, self.time), (3, self.space), (4, self.space)):
            x = x.repeat_interleave(factor, dim) if factor > 1 else x
        if self.time > 1 and not continues(state):
            x = x[:, :, self.time - 1 :]
        return self.conv(x, state)


class DepthToSpaceUp(nn.Module):
    """Convolution, then depth to space; the shortcut tiles the rearranged input over channels."""

    def __init__(self, stage: Stage, temporal_padding: TemporalPadding) -> None:
        super().__init__()
        self.time, self.space = stage.time, stage.space
        cell = self.time * self.space**2
        if stage.width % cell or (stage.out_width * cell) % stage.width:
            raise ValueError(
                f"depth_to_space by {self.time}x{self.space}x{self.space} needs a width that is a "
                f"multiple of {cell} and divides resample_width * {cell}, "
                f"got width {stage.width} and resample_width {stage.out_width}"
            )
        self.tiles = stage.out_width * cell // stage.width
        self.conv = CausalConv3d(
            stage.width,
            stage.out_width * cell,
            kernel=(_temporal_kernel(stage), 3),
            temporal_padding=temporal_padding,
        )

    def forward(
        self, x: Float[Tensor, "B Cin t h w"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout T H W"]:
        """Enlarge."""
        shortcut = depth_to_space(x, self.time, self.space).repeat(1, self.tiles, 1, 1, 1)
        x = depth_to_space(self.conv(x, state), self.time, self.space) + shortcut
        if self.time > 1 and not continues(state):
            x = x[:, :, self.time - 1 :]
        return x


DOWN = {"strided": StridedDown, "space_to_depth": SpaceToDepthDown}
UP = {"nearest": NearestUp, "depth_to_space": DepthToSpaceUp}
