"""Layout and SizeRule: the legal sizes of clips, and the grids of tokens that they become.

A legal clip has T = 1 + k * temporal_compression frames, the first of which is coded on its own,
and a height and width that are multiples of spatial_compression. A few published models code no
frame on its own: their clips have T = k * temporal_compression frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int, int]


class LayoutJson(TypedDict):
    """The plain JSON form of a layout."""

    grids: list[list[int]]
    size: list[int]


@dataclass(frozen=True)
class Layout:
    """The grid shapes of an encoding, and the size of its clip.

    Attributes:
        grids: (t, h, w) of every grid, in the order of the tokens; most models have one grid.
        size: (T, H, W) of the pixels before padding, to which decoding crops.

    Example:
        >>> from vistok import Layout
        >>> layout = Layout(grids=((1, 4, 6),), size=(1, 32, 48))
        >>> layout.num_positions
        24
    """

    grids: tuple[Size, ...]
    size: Size

    @property
    def num_positions(self) -> int:
        """Number of positions in all grids together."""
        return sum(t * h * w for t, h, w in self.grids)

    @property
    def num_pixels(self) -> int:
        """Number of unpadded pixels of the clip."""
        T, H, W = self.size
        return T * H * W

    def check_size(self) -> None:
        """Raise unless the clip has at least one frame, row and column."""
        _check_not_empty("the clip of a layout", self.size)

    def to_json(self) -> LayoutJson:
        """Return the layout as plain lists, for JSON."""
        return {"grids": [list(grid) for grid in self.grids], "size": list(self.size)}

    @classmethod
    def from_json(cls, value: Any) -> "Layout":
        """Restore a layout from the result of `to_json`.

        Raises:
            ValueError: the clip is empty, or its size negative.
        """
        layout = cls(tuple(_size(grid) for grid in value["grids"]), _size(value["size"]))
        layout.check_size()
        return layout


def _size(values: Sequence[int]) -> Size:
    t, h, w = (int(value) for value in values)
    return t, h, w


@dataclass(frozen=True)
class SizeRule:
    """The rule for the legal sizes of a tokenizer's clips.

    Attributes:
        temporal_compression: frames per latent frame, after the first.
        spatial_compression: pixels per latent position along height and width.
        first_frames: frames of the first latent frame: 1, or the temporal compression.
        frame_step: step between legal numbers of frames, a multiple of the temporal compression;
            None takes that itself.
    """

    temporal_compression: int
    spatial_compression: int
    first_frames: int = 1
    frame_step: int | None = None

    @property
    def step(self) -> int:
        """Step between legal numbers of frames."""
        return self.frame_step or self.temporal_compression

    def __str__(self) -> str:
        first, step = self.first_frames, self.step
        frames = f"T a multiple of {step}" if first == step > 1 else f"T = {first} + k*{step}"
        return f"{frames}, H and W multiples of {self.spatial_compression}"

    def padded(self, size: Size) -> Size:
        """Return the smallest legal (T, H, W) that holds `size`."""
        T, H, W = (max(1, side) for side in size)
        first = self.first_frames
        return (
            first + _round_up(max(0, T - first), self.step),
            _round_up(H, self.spatial_compression),
            _round_up(W, self.spatial_compression),
        )

    def grid(self, size: Size) -> Size:
        """Return the latent grid (t, h, w) of a clip, padded where its size is not legal."""
        T, H, W = self.padded(size)
        return (
            1 + (T - self.first_frames) // self.temporal_compression,
            H // self.spatial_compression,
            W // self.spatial_compression,
        )

    def layout(self, size: Size) -> Layout:
        """Return the layout of a clip of a legal size.

        Raises:
            ValueError: the length of an axis is not legal; names the nearest ones.
        """
        self.check(size)
        return Layout((self.grid(size),), size)

    def check(self, size: Size) -> None:
        """Raise, naming the nearest legal lengths, unless that of every axis is legal."""
        _check_not_empty("pixels", size)
        space = self.spatial_compression
        steps = (self.step, space, space)
        wrong = []
        for axis, got, above, step in zip("THW", size, self.padded(size), steps, strict=True):
            if got != above:
                below = above - step
                is_legal = below >= (self.first_frames if axis == "T" else step)
                nearest = f"{below} or {above}" if is_legal else f"{above}"
                wrong.append(f"{axis} = {got} (nearest legal: {nearest})")
        if wrong:
            raise ValueError(
                f"pixels must have {self}; got {', '.join(wrong)}. Crop, or pass pad='replicate'"
            )

    def fit(self, pixels: Tensor, pad: str | None = None) -> tuple[Tensor, Size]:
        """Return the pixels, padded to a legal size, and the size before padding.

        Args:
            pixels: (B, 3, T, H, W), checked by the caller.
            pad: None refuses illegal sizes, "replicate" extends them at the end of each axis.

        Raises:
            ValueError: an empty clip, or an illegal size without padding.
        """
        if pad not in (None, "replicate"):
            raise ValueError(f"pad must be None or 'replicate', got {pad!r}")
        T, H, W = pixels.shape[2:]
        size, full = (T, H, W), self.padded((T, H, W))
        _check_not_empty("pixels", size)
        if pad is None:
            self.check(size)
        if full == size:
            return pixels, size
        extra = (0, full[2] - W, 0, full[1] - H, 0, full[0] - T)
        return F.pad(pixels, extra, mode="replicate"), size

    def check_chunk(self, frames: int, first: bool) -> None:
        """Raise unless a chunk of a stream has a legal number of frames."""
        later = frames - self.first_frames if first else frames
        if frames == 0 or later < 0 or later % self.step:
            rule = f"{f'{self.first_frames} + ' if first else ''}n*{self.step}"
            raise ValueError(f"this chunk must have {rule} frames, got {frames}")


def _check_not_empty(what: str, size: Size) -> None:
    if min(size) < 1:
        raise ValueError(f"{what} must have at least one frame, row and column, got {size}")


def _round_up(length: int, step: int) -> int:
    return -(-length // step) * step
