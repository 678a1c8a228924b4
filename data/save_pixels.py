"""Saving pixels as image and video files.

`save_image` and `save_video` take what `VisualTokenizer.decode` and `reconstruct` return: pixels in
[-1, 1], or tensors of uint8.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from .codecs.frame_rate import frame_rate
from .codecs.write import write_image, write_video
from .pixels import check_float_pixels, to_uint8

DEFAULT_FPS = 25

# Decoders overshoot [-1, 1]; values in 0..255 reach further than any of them.
MAX_ABS = 16.0


def save_image(pixels: Tensor, path: str | Path) -> Path:
    """Write one image; values beyond [-1, 1] are clamped.

    Args:
        pixels: (1, 3, 1, H, W), (1, 3, H, W) or (3, H, W), in [-1, 1].
        path: file to write, its folder is created if needed: .png, or with loss .jpg or .webp.

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


def save_video(pixels: Tensor, path: str | Path, fps: float | int = DEFAULT_FPS) -> Path:
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
    rate = frame_rate(float(fps))
    write_video(path, _single_clip(pixels, "video").unbind(dim=1), rate)
    return path


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
        check_float_pixels(clip, MAX_ABS)
        clip = to_uint8(clip)
    return clip.cpu()
