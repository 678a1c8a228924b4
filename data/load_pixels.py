"""Loading images and videos as pixels, from files and from what other libraries hold in memory.

`load_image` and `load_video` give what `VisualTokenizer.encode` takes: float32 (1, 3, T, H, W) in
[-1, 1], an image with T = 1. Files are read by the codecs of this package, so that a file gives the
same pixels here as in training, encoding and evaluation.

    path, URL         any image or video that the codecs read; samples:kodim15 is a bundled one
    Pillow image      of any mode: upright, as sRGB, transparency over white
    NumPy array       (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); clips have a first axis T
    tensor            (3, H, W); clips (3, T, H, W); either may begin with a batch axis of 1
    list              the frames of a clip, each an image of one of these kinds

Arrays and tensors of uint8 are in 0 ... 255, floating ones in [-1, 1] already.
"""

import logging
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from .codecs.frame_rate import frame_rate
from .codecs.image import read_image, to_pil, to_tensor, upright_rgb
from .codecs.video import clip_frames, read_frames
from .codecs.video_index import index_video
from .pixels import check_float_pixels, to_pixels, to_uint8
from .resize import adm_center_crop
from .sources.bundled import bundled_file, is_bundled
from .sources.location import StoredFile
from .sources.media import HEAD_BYTES, MediaKind, is_animated, media_kind
from .sources.storage import is_remote

log = logging.getLogger(__name__)

ImageLike = str | Path | Image.Image | np.ndarray | Tensor
VideoLike = str | Path | Sequence[ImageLike] | np.ndarray | Tensor

# Resized images may overshoot [-1, 1].
MAX_ABS = 2.0


def load_image(image: ImageLike, size: int | None = None) -> Float[Tensor, "1 3 1 H W"]:
    """Load an image as pixels in [-1, 1], ready for `encode`.

    Args:
        image: path, URL, Pillow image, NumPy array or tensor; see the module.
        size: side of the center crop, resized as in evaluations; None keeps the whole image.

    Raises:
        OSError: the file is missing, damaged, or not an image.
        TypeError: something that is not an image.
        ValueError: an array or tensor of another shape, dtype or range.
    """
    return _batch(_frame(image, size).unsqueeze(1))


def load_video(
    video: VideoLike,
    frames: int | None = None,
    start: int = 0,
    stride: int = 1,
    fps: float | int | None = None,
    size: int | None = None,
) -> Float[Tensor, "1 3 T H W"]:
    """Load a video or animation as pixels in [-1, 1], ready for `encode`.

    The frames are all in memory, as 12 bytes per pixel. Long videos are coded in constant memory by
    `reconstruct_file`, or piece by piece with `start`, `frames` and `encode_stream`.

    Args:
        video: path, URL, array, tensor, or a list of images; see the module.
        frames: number of frames; None takes all from `start` on.
        start: position of the first frame.
        stride: step between frames.
        fps: rate that the video is resampled to before start, stride and frames count; files only.
        size: side of the center crop, resized as in evaluations; None keeps whole frames.

    Raises:
        OSError: the file is missing, damaged, or contains no video.
        TypeError: something that is not a video.
        ValueError: fewer frames than asked for, or frames of another shape, dtype or range.
    """
    _check_counts(frames, start, stride)
    rate = None if fps is None else frame_rate(float(fps))
    if isinstance(video, str | Path):
        stored = _frames_of(video, frames, start, stride, rate)
        loaded = [_frame(one, size) for one in stored]
    elif rate is not None:
        raise ValueError("fps has no effect on arrays and lists, whose rate is unknown; use stride")
    else:
        every = _listed_frames(video)
        chosen = every[start::stride][:frames]
        if not chosen or (frames is not None and len(chosen) < frames):
            wanted = "at least one frame" if frames is None else f"{frames} frames"
            raise ValueError(
                f"{wanted} with stride {stride} from frame {start}: the video has {len(every)}"
            )
        loaded = [_frame(one, size) for one in chosen]
    shapes = {tuple(frame.shape) for frame in loaded}
    if len(shapes) > 1:
        raise ValueError(
            f"the frames of a video must have one size, got {sorted(shapes)}; set size to crop them"
        )
    if any(frame.is_floating_point() for frame in loaded):
        loaded = [to_pixels(one) if one.dtype == torch.uint8 else one for one in loaded]
    return _batch(torch.stack(loaded, dim=1))


def _location(name: str | Path) -> StoredFile:
    text = str(name)
    if is_bundled(text):
        return StoredFile(str(bundled_file(text)))
    return StoredFile(text if is_remote(text) else str(Path(text).expanduser()))


def _kind_of(location: StoredFile) -> MediaKind | None:
    """Return the kind of a file by its first bytes; None if it cannot be read."""
    try:
        with location.open() as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return None
    return "video" if is_animated(head) else media_kind(head)


def _stored_image(location: StoredFile) -> Image.Image:
    try:
        return read_image(location)
    except OSError as error:
        if _kind_of(location) == "video":
            raise ValueError(f"{location} is a video; use load_video") from error
        raise


def _frames_of(
    video: str | Path, frames: int | None, start: int, stride: int, fps: Fraction | None
) -> Iterator[Tensor]:
    """Yield the chosen frames of a file."""
    location = _location(video)
    if _kind_of(location) == "image":
        raise ValueError(f"{location} is an image; use load_image")
    if frames is None and (start, stride, fps) == (0, 1, None):
        yield from read_frames(location)
        return
    if frames is None:
        index = index_video(location)
        frames = len(range(start, index.length(fps), stride))
    yield from clip_frames(location, max(1, frames), start, stride, fps)


def _check_counts(frames: int | None, start: int, stride: int) -> None:
    for name, value, least in (("frames", frames, 1), ("start", start, 0), ("stride", stride, 1)):
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def _listed_frames(video: Any) -> Sequence[Any]:
    """Return the frames of an array, a tensor or a list."""
    if isinstance(video, np.ndarray):
        if video.ndim not in (3, 4) or (video.ndim == 4 and video.shape[3] not in (1, 3, 4)):
            raise ValueError(f"an array of a clip must be (T, H, W, 3), got shape {video.shape}")
        return list(video)
    if isinstance(video, Tensor):
        clip = video[0] if video.ndim == 5 and len(video) == 1 else video
        if clip.ndim != 4 or clip.shape[0] != 3:
            raise ValueError(
                f"a tensor of a clip must be (3, T, H, W), got shape {tuple(video.shape)}; "
                "for (T, 3, H, W) pass clip.transpose(0, 1), for (T, H, W, 3) an array"
            )
        return clip.unbind(dim=1)
    if isinstance(video, Sequence):
        return video
    raise TypeError(f"a video is a path, URL, array, tensor or list of images, got {type(video)}")


def _frame(image: Any, size: int | None) -> Tensor:
    """Return an image as a tensor (3, H, W), uint8 or in [-1, 1]; a crop always as uint8."""
    if isinstance(image, str | Path):
        return to_tensor(_cropped(_stored_image(_location(image)), size))
    if isinstance(image, Image.Image):
        return to_tensor(_cropped(upright_rgb(image), size))
    if isinstance(image, np.ndarray):
        frame = _array_frame(image)
    elif isinstance(image, Tensor):
        frame = _tensor_frame(image)
    else:
        raise TypeError(
            f"an image is a path, URL, Pillow image, NumPy array or tensor, got {type(image)}"
        )
    if size is None:
        return frame
    whole = frame if frame.dtype == torch.uint8 else to_uint8(frame)
    return to_tensor(_cropped(to_pil(whole), size))


def _cropped(image: Image.Image, size: int | None) -> Image.Image:
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    return image if size is None else adm_center_crop(image, size)


def _array_frame(array: np.ndarray) -> Tensor:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ValueError(
            f"an array of an image must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got shape "
            f"{array.shape}; channels come last in arrays and first in tensors"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype == np.uint8:
        return to_tensor(upright_rgb(Image.fromarray(np.ascontiguousarray(array))))
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.shape[2] == 4:
        raise ValueError("an array with transparency must be uint8, got " + str(array.dtype))
    return _tensor_frame(torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1))))


def _tensor_frame(tensor: Tensor) -> Tensor:
    frame = tensor
    if frame.ndim in (4, 5) and frame.shape[0] == 1:
        frame = frame[0]
    if frame.ndim == 4 and frame.shape[1] == 1:
        frame = frame[:, 0]
    if frame.ndim != 3 or frame.shape[0] != 3:
        raise ValueError(
            f"a tensor of an image must be (3, H, W), got shape {tuple(tensor.shape)}; channels "
            "come first in tensors and last in arrays"
        )
    frame = frame.detach().cpu()
    if frame.dtype != torch.uint8:
        check_float_pixels(frame, MAX_ABS)
        if frame.numel() and frame.min() >= 0:
            log.warning(
                "this image has no value below 0: floating values are taken as pixels in [-1, 1]; "
                "if they are in [0, 1], pass 2 * image - 1"
            )
    return frame


def _batch(clip: Tensor) -> Tensor:
    """Return a clip (3, T, H, W) as a batch of one, in [-1, 1]."""
    return (to_pixels(clip) if clip.dtype == torch.uint8 else clip.float()).unsqueeze(0)
