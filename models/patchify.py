"""Space to depth and back: lossless rearrangements between positions and channels.

Packed channel order is channel, time offset, row offset, column offset (column fastest).
"""

from jaxtyping import Float
from torch import Tensor


def space_to_depth(
    x: Float[Tensor, "B C T H W"], time: int, space: int
) -> Float[Tensor, "B Cp Tp Hp Wp"]:
    """Move every `time x space x space` cell into channels: C -> C * time * space^2."""
    B, C, T, H, W = x.shape
    x = x.view(B, C, T // time, time, H // space, space, W // space, space)
    x = x.permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(B, C * time * space * space, T // time, H // space, W // space)


def depth_to_space(
    x: Float[Tensor, "B Cp Tp Hp Wp"], time: int, space: int
) -> Float[Tensor, "B C T H W"]:
    """Inverse of `space_to_depth`."""
    B, C, T, H, W = x.shape
    x = x.view(B, C // (time * space * space), time, space, space, T, H, W)
    x = x.permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(B, -1, T * time, H * space, W * space)
