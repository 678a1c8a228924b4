"""Pixels from images and videos, and images and videos from pixels: the way in and out in Python.

`load_image` and `load_video` give what `VisualTokenizer.encode` takes: float32 (1, 3, T, H, W) in
[-1, 1], an image with T = 1. `save_image` and `save_video` take what `decode` returns. Files are
read and written by the codecs of this package, so that a file gives the same pixels here as in
training, encoding and evaluation.

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
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from .codecs.frame_rate import frame_rate
from .codecs.image import read_image, to_pil, to_tensor, upright_rgb
from .codecs.video import clip_frames, read_frames
from .codecs.video_index import index_video
from .codecs.write import write_image, write_video
from .pixels import to_pixels, to_uint8
from .resize import adm_center_crop
from .sources.bundled import bundled_file, is_bundled
from .sources.location import StoredFile
from .sources.media import HEAD_BYTES, MediaKind, is_animated, media_kind
from .sources.storage import is_remote

log = logging.getLogger(__name__)

ImageLike = str | Path | Image.Image | np.ndarray | Tensor
VideoLike = str | Path | Sequence[ImageLike] | np.ndarray | Tensor

DEFAULT_FPS = 25

# Floats to read may overshoot [-1, 1] as resized images do, floats to write as decoders do.
MAX_ABS_READ, MAX_ABS_WRITTEN = 2.0, 16.0


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
    if isinstance(image, str | Path):
        location = _location(image)
        try:
            image = read_image(location)
        except OSError as error:
            if _kind_of(location) == "video":
                raise ValueError(f"{location} is a video; use load_video") from error
            raise
    return _batch(_frame(image, size).unsqueeze(1))


def load_video(
    video: VideoLike,
    frames: int | None = None,
    start: int = 0,
    stride: int = 1,
    fps: float | None = None,
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
    _check_counts(frames, start, stride, fps)
    if isinstance(video, str | Path):
        loaded = [_frame(to_pil(one), size) for one in _frames_of(video, frames, start, stride, fps)]
    elif fps is not None:
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
        raise ValueError(f"the frames of a video must have one size, got {sorted(shapes)}; set size")
    return _batch(torch.stack(loaded, dim=1))


def save_image(pixels: Tensor, path: str | Path) -> Path:
    """Write one image; values beyond [-1, 1] are clamped.

    Args:
        pixels: (1, 3, 1, H, W), (1, 3, H, W) or (3, H, W), in [-1, 1].
        path: file to write, PNG, JPEG or WebP by its suffix; its folder is created if needed.

    Returns:
        The path.

    Raises:
        ValueError: pixels of another shape, dtype or range, or another suffix.
    """
    path = Path(path)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise ValueError(f"path must end in .png, .jpg or .webp, got {path}")
    clip = _single_clip(pixels, "image")
    if clip.shape[1] != 1:
        raise ValueError(f"save_image takes one frame, got {clip.shape[1]}; use save_video")
    write_image(path, clip[:, 0])
    return path


def save_video(pixels: Tensor, path: str | Path, fps: float = DEFAULT_FPS) -> Path:
    """Write one clip as H.264 in an MP4 file; values beyond [-1, 1] are clamped.

    Args:
        pixels: (1, 3, T, H, W) or (3, T, H, W), in [-1, 1].
        path: file to write, with the suffix .mp4; its folder is created if needed.
        fps: frames per second.

    Returns:
        The path.

    Raises:
        ValueError: pixels of another shape, dtype or range, another suffix, or an impossible rate.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"path must end in .mp4, got {path}")
    rate = _checked_rate(fps)
    write_video(path, _single_clip(pixels, "video").unbind(dim=1), rate)
    return path


# ---- reading -------------------------------------------------------------------------------------


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


def _frames_of(
    video: str | Path, frames: int | None, start: int, stride: int, fps: float | None
) -> Iterator[Tensor]:
    """Yield the chosen frames of a file."""
    location = _location(video)
    if _kind_of(location) == "image":
        raise ValueError(f"{location} is an image; use load_image")
    if frames is None and (start, stride, fps) == (0, 1, None):
        yield from read_frames(location)
        return
    rate = None if fps is None else _checked_rate(fps)
    if frames is None:
        index = index_video(location)
        frames = len(range(start, index.length(rate), stride))
    yield from clip_frames(location, max(1, frames), start, stride, rate)


def _check_counts(frames: int | None, start: int, stride: int, fps: float | None) -> None:
    for name, value, least in (("frames", frames, 1), ("start", start, 0), ("stride", stride, 1)):
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    if fps is not None:
        _checked_rate(fps)


def _checked_rate(fps: float) -> Fraction:
    if not 0 < fps < 1e4:  # false for NaN, too
        raise ValueError(f"fps must be a number of frames per second, got {fps}")
    return frame_rate(fps)


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
        return [read_image(_location(one)) if isinstance(one, str | Path) else one for one in video]
    raise TypeError(f"a video is a path, URL, array, tensor or list of images, got {type(video)}")


def _frame(image: Any, size: int | None) -> Tensor:
    """Return an image in memory as a tensor (3, H, W), uint8 or in [-1, 1]; cropped, as uint8."""
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
        _check_floats(frame, MAX_ABS_READ)
        if frame.numel() and frame.min() >= 0:
            log.warning(
                "this image has no value below 0: floating values are taken as pixels in [-1, 1]; "
                "if they are in [0, 1], pass 2 * image - 1"
            )
    return frame


def _batch(clip: Tensor) -> Tensor:
    """Return a clip (3, T, H, W) as a batch of one, in [-1, 1]."""
    return (to_pixels(clip) if clip.dtype == torch.uint8 else clip.float()).unsqueeze(0)


# ---- writing -------------------------------------------------------------------------------------


def _single_clip(pixels: Any, what: str) -> UInt8[Tensor, "3 T H W"]:
    """Check pixels and return them as one clip of 8 bits."""
    if not isinstance(pixels, Tensor):
        raise TypeError(
            f"pixels must be a torch.Tensor in [-1, 1], got {type(pixels)}; use load_{what}"
        )
    clip = pixels
    if clip.ndim == 5 or (clip.ndim == 4 and what == "image"):
        if len(clip) != 1:
            raise ValueError(
                f"save_{what} writes one file, got a batch of {len(clip)}; "
                "pass pixels[i : i + 1] and a path for each"
            )
        clip = clip[0]
    if clip.ndim == 3 and what == "image":
        clip = clip.unsqueeze(1)
    if clip.ndim != 4 or clip.shape[0] != 3 or min(clip.shape) < 1:
        shapes = "(1, 3, 1, H, W) or (3, H, W)" if what == "image" else "(1, 3, T, H, W)"
        raise ValueError(f"pixels must be {shapes}, got shape {tuple(pixels.shape)}")
    clip = clip.detach()
    if clip.dtype != torch.uint8:
        _check_floats(clip, MAX_ABS_WRITTEN)
        clip = to_uint8(clip)
    return clip.cpu()


def _check_floats(pixels: Tensor, limit: float) -> None:
    if not pixels.is_floating_point():
        raise ValueError(
            f"pixels must be uint8 in 0..255 or floating in [-1, 1], got {pixels.dtype}"
        )
    if not pixels.isfinite().all():
        raise ValueError("pixels must be finite, got NaN or infinity")
    if pixels.numel() and pixels.abs().max() > limit:
        low, high = torch.aminmax(pixels)
        raise ValueError(
            f"floating pixels must be in [-1, 1], got {low:g} to {high:g}; for values in 0..255 "
            "pass uint8, or pixels / 127.5 - 1"
        )
