"""Layers that increase the resolution, at the end of a decoder's stages.

In time all of them follow the first-frame rule: 1 + n frames -> 1 + n*f frames. Upsampling makes f
frames of the first one; one of them is kept, by default the last. `downsample.py` holds their
mirror images.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .block_config import BlockConfig
from .causal_conv import CausalConv3d
from .downsample import temporal_kernel
from .patchify import depth_to_space
from .stage import Stage
from .stream_state import StreamState, align_shortcut, continues


class NearestUp(nn.Module):
    """Nearest-neighbor upsampling, then one convolution."""

    def __init__(self, stage: Stage, config: BlockConfig) -> None:
        super().__init__()
        self.stage = stage
        self.conv = CausalConv3d(
            stage.width, stage.out_width, kernel=(temporal_kernel(stage), 3), config=config
        )

    def extra_repr(self) -> str:
        """Describe the factors for `repr`."""
        return f"time={self.stage.time}, space={self.stage.space}"

    def forward(
        self, x: Float[Tensor, "B Cin t h w"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout T H W"]:
        """Upsample `x` in time and space."""
        time, space = self.stage.time, self.stage.space
        for dim, factor in ((2, time), (3, space), (4, space)):
            x = x.repeat_interleave(factor, dim) if factor > 1 else x
        return self.conv(_drop_extra_frames(self, x, time, state), state)


class DepthToSpaceUp(nn.Module):
    """Convolution, then depth to space; the shortcut tiles the rearranged input over channels."""

    def __init__(self, stage: Stage, config: BlockConfig) -> None:
        super().__init__()
        self.stage = stage
        unpacked = stage.out_width * stage.cell
        if stage.resample_shortcut and (stage.width % stage.cell or unpacked % stage.width):
            raise ValueError(
                f"depth_to_space by {stage.time}x{stage.space}x{stage.space} needs a width that is "
                f"a multiple of {stage.cell} and divides resample_width * {stage.cell}, "
                f"got width {stage.width} and resample_width {stage.out_width}"
            )
        self.conv = CausalConv3d(
            stage.width, unpacked, kernel=(temporal_kernel(stage), 3), config=config
        )

    def extra_repr(self) -> str:
        """Describe the factors for `repr`."""
        return f"time={self.stage.time}, space={self.stage.space}"

    def forward(
        self, x: Float[Tensor, "B Cin t h w"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout T H W"]:
        """Upsample `x` in time and space."""
        time, space, order = self.stage.time, self.stage.space, self.stage.channel_order
        h = self.conv(x, state)
        y = depth_to_space(h, time, space, order)
        if self.stage.resample_shortcut:
            shortcut = depth_to_space(align_shortcut(self, x, h, state), time, space, order)
            y = y + shortcut.repeat(1, self.stage.out_width // shortcut.shape[1], 1, 1, 1)
        return _drop_extra_frames(self, y, time, state, self.stage.first_frame)


class SplitUp(nn.Module):
    """Upsampling first in time, where the first frame is kept as is, then in space (Wan 2.1).

    In time: a causal (3, 1, 1) convolution makes two frames of each later one; it sees the clip
    without its first frame, padded by two frames of zeros. In space: nearest-neighbor upsampling of
    each frame, then a 3x3 convolution.
    """

    def __init__(self, stage: Stage, config: BlockConfig) -> None:
        super().__init__()
        if stage.space != 2 or stage.time not in (1, 2):
            raise ValueError(
                "split resampling doubles space, and doubles time or leaves it; "
                f"got space {stage.space}, time {stage.time}"
            )
        self.space = nn.Conv2d(stage.width, stage.out_width, 3, padding=1)
        self.time = nn.Conv3d(stage.width, 2 * stage.width, (3, 1, 1)) if stage.time > 1 else None

    def forward(
        self, x: Float[Tensor, "B Cin t h w"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout T H W"]:
        """Upsample `x` in time and space."""
        if self.time is not None:
            x = self._double_frames(self.time, x, state)
        B, _, T, _, _ = x.shape
        frames = x.transpose(1, 2).flatten(0, 1)
        frames = frames.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return self.space(frames).unflatten(0, (B, T)).transpose(1, 2)

    def _double_frames(self, conv: nn.Conv3d, x: Tensor, state: StreamState | None) -> Tensor:
        first, rest = (x[:, :, :0], x) if continues(state) else (x[:, :, :1], x[:, :, 1:])
        before = state.recall(self) if continues(state) else None
        if before is None:
            before = torch.zeros_like(x[:, :, :1]).expand(-1, -1, 2, -1, -1)
        seen = torch.cat([before, rest], dim=2)
        if state is not None:
            state.keep(self, seen[:, :, -2:])
        if rest.shape[2] == 0:
            return first
        # Output channels are the earlier and the later frame of each pair.
        pairs = conv(seen).unflatten(1, (2, -1)).transpose(1, 2).transpose(2, 3)
        return torch.cat([first, pairs.flatten(2, 3)], dim=2)


def _drop_extra_frames(
    layer: nn.Module,
    x: Tensor,
    time: int,
    state: StreamState | None,
    kept: Literal["first", "last"] = "last",
) -> Float[Tensor, "B C T H W"]:
    """Keep one of the frames made of the clip's first one, in whichever chunk they appear."""
    if time == 1 or x.shape[2] == 0:
        return x
    if state is not None:
        if state.recall(layer, "begun") is not None:
            return x
        state.keep(layer, x[:, :, :0], "begun")
    if kept == "last":
        return x[:, :, time - 1 :]
    return torch.cat([x[:, :, :1], x[:, :, time:]], dim=2)


UP = {"nearest": NearestUp, "depth_to_space": DepthToSpaceUp, "split": SplitUp}
