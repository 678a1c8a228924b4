"""Conversion of decoded video frames to upright 8-bit RGB images.

    matrix         BT.601, BT.709 or BT.2020 as the stream declares; if it declares none, BT.709
                   from a width of 1280 or a height of 720 on, else BT.601 (as players do)
    range          limited or full as the stream declares; if it declares none, limited
    depth          10 bits and more are rounded to 8; HDR transfer curves are kept
    transparency   over white, if the pixel format has an alpha channel
    orientation    by the display matrix: quarter turns and reflections
    fields         interlaced frames as stored, with both fields woven
    pixel shape    as stored

HDR is not tone-mapped, interlaced frames are not deinterlaced, non-square pixels not stretched.
"""

import gc
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from av import VideoFrame
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from jaxtyping import UInt8
from torch import Tensor

# Maximum size of a frame (8K): a decoder holds up to 16 of them.
MAX_FRAME_PIXELS = 2**25

HD_WIDTH, HD_HEIGHT = 1280, 720

# swscale's fast path is off by two levels for odd sizes and for more than 8 bits; EXACT is exact.
FAST = Interpolation.BILINEAR
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

# A converter has threads of its own, and waits for them when it is freed. They do not exist in a
# forked process, such as a reading worker: it must never collect what its parent left behind.
os.register_at_fork(before=gc.freeze, after_in_parent=gc.unfreeze)

_UNSPECIFIED_MATRIX = 2
_LIMITED = int(ColorRange.MPEG)


@dataclass(frozen=True)
class Orientation:
    """Orientation of a display matrix: rows and columns are exchanged first, then reflected."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False


class FrameConverter:
    """Converter of the frames of one stream; the display matrix of the first frame holds for all.

    Reading the matrix ties a frame into a reference cycle: if it were read from every frame,
    decoded frames would pile up until Python collects cycles.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._orientation: Orientation | None = None
        self._size = (0, 0)

    def __call__(self, frame: VideoFrame) -> UInt8[Tensor, "3 H W"]:
        """Convert a frame to an image.

        Raises:
            ValueError: the display matrix rotates by other than a multiple of 90 degrees, or the
                size of the frame differs from that of the first one.
        """
        if self._orientation is None:
            self._orientation = display_orientation(frame)
            self._size = (frame.width, frame.height)
        if self._size != (frame.width, frame.height):
            raise ValueError(
                f"the frame size changes from {self._size} to {(frame.width, frame.height)}"
            )
        upright = np.ascontiguousarray(_upright(self._rgb(frame), self._orientation))
        return torch.from_numpy(upright).permute(2, 0, 1)

    def _rgb(self, frame: VideoFrame) -> np.ndarray:
        parts = frame.format.components
        fast = frame.width % 2 == frame.height % 2 == 0 and parts[0].bits == 8
        has_alpha = any(part.is_alpha for part in parts)
        if not frame.format.is_rgb and int(frame.colorspace) == _UNSPECIFIED_MATRIX:
            frame.colorspace = _default_matrix(frame)
        converted = self._reformatter.reformat(
            frame,
            format="rgba" if has_alpha else "rgb24",
            interpolation=FAST if fast else EXACT,
            threads=1,
        )
        image = converted.to_ndarray()
        if len(parts) == 1 and not frame.format.is_rgb and int(frame.color_range) == _LIMITED:
            return _expand_range(image)
        return _over_white(image) if has_alpha else image


def _default_matrix(frame: VideoFrame) -> int:
    large = frame.width >= HD_WIDTH or frame.height >= HD_HEIGHT
    return int(Colorspace.ITU709 if large else Colorspace.ITU601)


def _expand_range(gray: np.ndarray) -> np.ndarray:
    """Map 16 ... 235 to 0 ... 255; swscale treats every gray stream as full range."""
    levels = np.rint((np.arange(256) - 16.0) * (255 / 219)).clip(0, 255).astype(np.uint8)
    return levels[gray]


def _over_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.uint16)
    blended = rgba[..., :3] * alpha + 255 * (255 - alpha)
    return ((blended + 127) // 255).astype(np.uint8)


def display_orientation(frame: VideoFrame) -> Orientation:
    """Read the display matrix, which maps (x, y) of the stored image to (ax + cy, bx + dy)."""
    side_data: Any = frame.side_data  # PyAV annotates its keys as strings
    data = side_data.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return Orientation()
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), dtype=np.int32).tolist()
    if (a or d) and (b or c):
        raise ValueError("the display matrix does not rotate by a multiple of 90 degrees")
    if a or d:
        return Orientation(flip_x=a < 0, flip_y=d < 0)
    return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)


def _upright(image: np.ndarray, orientation: Orientation) -> np.ndarray:
    image = image.swapaxes(0, 1) if orientation.transpose else image
    return image[:: -1 if orientation.flip_y else 1, :: -1 if orientation.flip_x else 1]
