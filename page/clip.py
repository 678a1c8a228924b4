"""Opening the image or clip to compare, within limits that keep the page responsive.

Large images are downscaled and long clips are cut; a note reports what was changed, since numbers
of a downscaled image are not those of the file.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from ..data.codecs.image import read_image, to_pil, to_tensor
from ..data.codecs.video import read_frames
from ..data.resize import adm_resize
from ..data.sources.location import StoredFile
from ..data.sources.media import (
    HEAD_BYTES,
    MediaFile,
    is_animated,
    media_kind,
    skip_reason,
)


@dataclass(frozen=True)
class Limits:
    """Limits of what is compared.

    Attributes:
        side: maximum length of the longer side, in pixels.
        frames: maximum number of frames of a clip.
    """

    side: int = 768
    frames: int = 17


@dataclass(frozen=True)
class OpenedClip:
    """An image (T = 1) or clip that is ready to be compared.

    Attributes:
        name: file name without its folder.
        pixels: 8-bit pixels, within the limits.
        file_bytes: size of the file, of the whole clip where only its beginning was opened.
        notes: sentences about what was downscaled or left out; empty if nothing was.
    """

    name: str
    pixels: UInt8[Tensor, "3 T H W"]
    file_bytes: int
    notes: tuple[str, ...]


def open_clip(path: Path, limits: Limits) -> OpenedClip:
    """Open an image or clip, downscaled and cut to the limits where needed.

    Args:
        path: a single file; lists, tars and tables are not opened.
        limits: limits of size and length.

    Raises:
        OSError: the file is missing or damaged.
        ValueError: the file is neither an image nor a video.
    """
    file = _media_file(path)
    if file.serves("video"):
        with closing(read_frames(file.location)) as decoded:
            frames = [_within(frame, limits) for frame in islice(decoded, limits.frames + 1)]
    else:
        frames = [_within(to_tensor(read_image(file.location)), limits)]
    if not frames:
        raise OSError(f"{path.name}: no decodable video frame")
    kept = [frame for frame, _ in frames[: limits.frames]]
    return OpenedClip(
        name=path.name,
        pixels=torch.stack(kept, dim=1),
        file_bytes=path.stat().st_size,
        notes=tuple(_notes(kept[0], frames[0][1], len(frames), limits)),
    )


def _media_file(path: Path) -> MediaFile:
    """Recognize a file by its first bytes."""
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    kind = media_kind(head)
    if kind is None:
        raise ValueError(f"{path.name}: {skip_reason(head)}; drop an image or a video")
    animated = kind == "image" and is_animated(head)
    return MediaFile(path.stem, StoredFile(str(path)), kind, animated)


def _within(frame: UInt8[Tensor, "3 H W"], limits: Limits) -> tuple[Tensor, tuple[int, int]]:
    """Return a frame within the limit of its sides, and its width and height before."""
    _, H, W = frame.shape
    if max(H, W) > limits.side:
        short_side = max(1, round(min(H, W) * limits.side / max(H, W)))
        frame = to_tensor(adm_resize(to_pil(frame), short_side))
    return frame, (W, H)


def _notes(frame: Tensor, size: tuple[int, int], num_read: int, limits: Limits) -> Iterator[str]:
    """Yield what differs between the file and what is compared."""
    _, H, W = frame.shape
    if size != (W, H):
        yield (
            f"Downscaled from {size[0]} × {size[1]} to {W} × {H} pixels; "
            f"raise the limit with --max-side (now {limits.side})."
        )
    if num_read > limits.frames:
        yield (
            f"Only the first {limits.frames} frames are compared; "
            f"raise the limit with --max-frames (now {limits.frames})."
        )
