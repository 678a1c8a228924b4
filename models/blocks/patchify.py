"""Space to depth and back: lossless rearrangements between positions and channels.

Packed channel order, slowest first:

    channel_first   channel, time offset, row offset, column offset      (torch's pixel_shuffle)
    column_first    channel, time offset, column offset, row offset      (LTX-Video's patches)
    cell_first      time offset, row offset, column offset, channel      (WeTok's upsampling)
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

ChannelOrder = Literal["channel_first", "column_first", "cell_first"]

# Axes of (B, C, T, t, H, h, W, w) in packed order, and of (B, packed..., T, H, W) back again.
_PACK = {
    "channel_first": (0, 1, 3, 5, 7, 2, 4, 6),
    "column_first": (0, 1, 3, 7, 5, 2, 4, 6),
    "cell_first": (0, 3, 5, 7, 1, 2, 4, 6),
}
_UNPACK = {
    "channel_first": (0, 1, 5, 2, 6, 3, 7, 4),
    "column_first": (0, 1, 5, 2, 6, 4, 7, 3),
    "cell_first": (0, 4, 5, 1, 6, 2, 7, 3),
}


def space_to_depth(
    x: Float[Tensor, "B C T H W"], time: int, space: int, order: ChannelOrder = "channel_first"
) -> Float[Tensor, "B Cp Tp Hp Wp"]:
    """Move every `time x space x space` cell into channels: C -> C * time * space^2."""
    if time == space == 1:
        return x
    B, C, T, H, W = x.shape
    t, h, w = T // time, H // space, W // space
    x = x.reshape(B, C, t, time, h, space, w, space).permute(_PACK[order])
    return x.reshape(B, C * time * space * space, t, h, w)


def depth_to_space(
    x: Float[Tensor, "B Cp Tp Hp Wp"], time: int, space: int, order: ChannelOrder = "channel_first"
) -> Float[Tensor, "B C T H W"]:
    """Invert `space_to_depth`: C * time * space^2 channels -> C."""
    if time == space == 1:
        return x
    B, packed, T, H, W = x.shape
    C = packed // (time * space * space)
    cell = (time, space, space)
    channels = (*cell, C) if order == "cell_first" else (C, *cell)
    x = x.reshape(B, *channels, T, H, W).permute(_UNPACK[order])
    return x.reshape(B, C, T * time, H * space, W * space)
