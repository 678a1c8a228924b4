"""Layers that reduce the resolution, at the end of an encoder's stages.

In time all of them follow the first-frame rule: 1 + n*f frames -> 1 + n frames. `upsample.py` holds
their mirror images.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .block_config import BlockConfig
from .causal_conv import CausalConv3d
from .patchify import space_to_depth
from .stage import Stage
from .stream_state import StreamState, continues


def temporal_kernel(stage: Stage) -> int:
    """Return the temporal kernel: at least 3 where the frame count changes, else the stage's."""
    return max(stage.temporal_kernel, 3 if stage.time > 1 else 1, stage.time)


class StridedDown(nn.Module):
    """Downsampling by one strided convolution."""

    def __init__(self, stage: Stage, config: BlockConfig) -> None:
        super().__init__()
        self.conv = CausalConv3d(
            stage.width,
            stage.out_width,
            kernel=(temporal_kernel(stage), 3),
            stride=(stage.time, stage.space),
            config=config,
        )

    def forward(
        self, x: Float[Tensor, "B Cin T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout t h w"]:
        """Downsample `x` in time and space."""
        return self.conv(x, state)


class SpaceToDepthDown(nn.Module):
    """Convolution, then space to depth; the shortcut averages groups of packed channels.

    DC-AE (arXiv 2410.10733), and causal in time as in the LTX-Video VAE (arXiv 2501.00103).
    """

    def __init__(self, stage: Stage, config: BlockConfig) -> None:
        super().__init__()
        self.stage = stage
        packed = stage.width * stage.cell
        if stage.out_width % stage.cell or (stage.resample_shortcut and packed % stage.out_width):
            raise ValueError(
                f"space_to_depth by {stage.time}x{stage.space}x{stage.space} needs a "
                f"resample_width that is a multiple of {stage.cell} and divides "
                f"{stage.width} * {stage.cell}, got {stage.out_width}"
            )
        self.conv = CausalConv3d(
            stage.width,
            stage.out_width // stage.cell,
            kernel=(temporal_kernel(stage), 3),
            config=config,
        )

    def extra_repr(self) -> str:
        """Describe the factors for `repr`."""
        return f"time={self.stage.time}, space={self.stage.space}"

    def forward(
        self, x: Float[Tensor, "B Cin T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout t h w"]:
        """Downsample `x` in time and space."""
        time, space, order = self.stage.time, self.stage.space, self.stage.channel_order
        if time > 1 and not continues(state):
            x = torch.cat([x[:, :, :1].expand(-1, -1, time - 1, -1, -1), x], dim=2)
        h = space_to_depth(self.conv(x, state), time, space, order)
        if not self.stage.resample_shortcut:
            return h
        packed = space_to_depth(x, time, space, order)
        return h + packed.unflatten(1, (self.stage.out_width, -1)).mean(dim=2)


class SplitDown(nn.Module):
    """Downsampling first in space, then in time, where the first frame is kept as is (Wan 2.1).

    In space: a 3x3 convolution of stride 2 on each frame, padded by one row of zeros below and one
    column on the right. In time: a (3, 1, 1) convolution of stride 2, whose output k >= 1 sees
    frames 2k-2, 2k-1 and 2k.
    """

    def __init__(self, stage: Stage, config: BlockConfig) -> None:
        super().__init__()
        if stage.space != 2 or stage.time not in (1, 2) or stage.out_width != stage.width:
            raise ValueError(
                "split resampling halves space, halves time or leaves it, and keeps the width; "
                f"got space {stage.space}, time {stage.time}, resample_width {stage.out_width}"
            )
        self.space = nn.Conv2d(stage.width, stage.width, 3, stride=2)
        self.time = (
            nn.Conv3d(stage.width, stage.width, (3, 1, 1), (2, 1, 1)) if stage.time > 1 else None
        )

    def forward(
        self, x: Float[Tensor, "B C T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B C t h w"]:
        """Downsample `x` in time and space."""
        B, _, T, _, _ = x.shape
        frames = F.pad(x.transpose(1, 2).flatten(0, 1), (0, 1, 0, 1))
        x = self.space(frames).unflatten(0, (B, T)).transpose(1, 2)
        if self.time is None:
            return x
        first = x[:, :, :0] if continues(state) else x[:, :, :1]
        previous = state.recall(self) if continues(state) else None
        seen = x if previous is None else torch.cat([previous, x], dim=2)
        if state is not None:
            state.keep(self, seen[:, :, -1:])
        rest = self.time(seen) if seen.shape[2] >= 3 else x[:, :, :0]
        return torch.cat([first, rest], dim=2)


DOWN = {"strided": StridedDown, "space_to_depth": SpaceToDepthDown, "split": SplitDown}
