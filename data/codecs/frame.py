"""One decoded video frame as an upright 8-bit RGB image.

matrix         BT.601, BT.709 or BT.2020 as the stream says; where it says nothing, BT.709 for
images of at least 1280 x 720 in either measure, else BT.601 (as players do)
range          limited or full as the stream says; where it says nothing, limited
depth          10 bits and more are rounded to 8; HDR transfer curves are kept, not tone-mapped
transparency   over white, where the pixel format holds alpha
orientation    the display matrix: quarter turns and mirrorings
fields         interlaced frames as they are stored, both fields woven, not deinterlaced
pixel shape    as stored; wide pixels are not stretched
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from av import VideoFrame
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from jaxtyping import UInt8
from torch import Tensor

# The largest frame, 8K: a decoder holds up to 16 of them.
MAX_FRAME_PIXELS = 2**25

HD_WIDTH, HD_HEIGHT = 1280, 720

# swscale's short cut is off by two levels for odd sizes and deep samples; this way is exact.
FAST = Interpolation.BILINEAR
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

_UNSPECIFIED_MATRIX = 2
_LIMITED = int(ColorRange.MPEG)


@dataclass(frozen=True)
class Orientation:
    """A display matrix of quarter turns: rows and columns exchanged first, mirrored then."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False


class FrameConverter:
    """Turns the frames of one stream into images; the first one's display matrix holds for all.

    Reading the matrix ties a frame into a reference cycle, so doing it for every frame would let
    decoded frames pile up until Python looks for cycles.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._turn: Orientation | None = None
        self._size = (0, 0)

    def __call__(self, frame: VideoFrame) -> UInt8[Tensor, "3 H W"]:
        """The image of a frame.

        Raises:
            ValueError: the display matrix turns by an angle that is no quarter turn, or the frame
                is of another size than the first one.
        """
        if self._turn is None:
            self._turn, self._size = display_turn(frame), (frame.width, frame.height)
        if self._size != (frame.width, frame.height):
            raise ValueError(f"frames change from {self._size} to {(frame.width, frame.height)}")
        turned = np.ascontiguousarray(_apply(self._turn, self._rgb(frame)))
        return torch.from_numpy(turned).permute(2, 0, 1)

    def _rgb(self, frame: VideoFrame) -> np.ndarray:
        parts = frame.format.components
        plain = frame.width % 2 == frame.height % 2 == 0 and parts[0].bits == 8
        has_alpha = any(part.is_alpha for part in parts)
        if not frame.format.is_rgb and int(frame.colorspace) == _UNSPECIFIED_MATRIX:
            frame.colorspace = _usual_matrix(frame)
        converted = self._reformatter.reformat(
            frame,
            format="rgba" if has_alpha else "rgb24",
            interpolation=FAST if plain else EXACT,
            threads=1,
        )
        picture = converted.to_ndarray()
        if len(parts) == 1 and not frame.format.is_rgb and int(frame.color_range) == _LIMITED:
            return _widen(picture)
        return _over_white(picture) if has_alpha else picture


def _usual_matrix(frame: VideoFrame) -> int:
    large = frame.width >= HD_WIDTH or frame.height >= HD_HEIGHT
    return int(Colorspace.ITU709 if large else Colorspace.ITU601)


def _widen(grey: np.ndarray) -> np.ndarray:
    """16 ... 235 to 0 ... 255; swscale takes every grey stream for full range."""
    levels = np.rint((np.arange(256) - 16.0) * (255 / 219)).clip(0, 255).astype(np.uint8)
    return levels[grey]


def _over_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.uint16)
    blended = rgba[..., :3] * alpha + 255 * (255 - alpha)
    return ((blended + 127) // 255).astype(np.uint8)


def display_turn(frame: VideoFrame) -> Orientation:
    """What a display matrix asks for: (x, y) of the stored image goes to (ax + cy, bx + dy)."""
    kept: Any = frame.side_data  # its annotation promises strings as keys
    data = kept.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return Orientation()
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), dtype=np.int32).tolist()
    if (a or d) and (b or c):
        raise ValueError("the display matrix turns by an angle that is no multiple of 90 degrees")
    if a or d:
        return Orientation(flip_x=a < 0, flip_y=d < 0)
    return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)


def _apply(turn: Orientation, picture: np.ndarray) -> np.ndarray:
    turned = picture.swapaxes(0, 1) if turn.transpose else picture
    return turned[:: -1 if turn.flip_y else 1, :: -1 if turn.flip_x else 1]
