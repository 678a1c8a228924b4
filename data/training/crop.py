"""How a training sample is cut from an image or clip: scale, crop, flip."""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from ..codecs.frame_rate import frame_rate
from ..codecs.image import to_tensor
from ..resize import adm_resize, adm_size


@dataclass(frozen=True)
class CropRules:
    """How training samples are cut from files.

    Attributes:
        size: side of the square crop, in pixels.
        frames: frames per clip; 1 takes images, and single frames of videos.
        stride: step between the frames of a clip.
        short_side: the image's short side before cropping, or the ends of a range it is drawn
            from; None keeps its own. It is never smaller than the crop needs.
        flip: whether half of the samples are mirrored.
        crop: where the crop lies: anywhere, or in the middle.
        fps: rate that videos are resampled to before stride counts; None keeps their own.
        image_ratio: share of the steps that take images (one frame) where `frames` > 1.
        buckets: (height, width) of the crops instead of `size`; every file goes to the bucket
            nearest to its aspect ratio, or to all of them where several are equally near.
    """

    size: int
    frames: int = 1
    stride: int = 1
    short_side: int | tuple[int, int] | None = None
    flip: bool = True
    crop: Literal["random", "center"] = "random"
    fps: float | None = None
    image_ratio: float = 0.0
    buckets: tuple[tuple[int, int], ...] = ()

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of the crops."""
        return self.buckets or ((self.size, self.size),)

    @property
    def rate(self) -> Fraction | None:
        """The rate as a fraction, such as 30000/1001."""
        return None if self.fps is None else frame_rate(self.fps)


def crop_frames(
    frames: Iterable[Image.Image], shape: tuple[int, int], rules: CropRules, rng: random.Random
) -> UInt8[Tensor, "3 T H W"]:
    """Scale, crop and flip the frames of one sample, all alike.

    Raises:
        ValueError: the frames are of different sizes.
    """
    pictures: list[Tensor] = []
    size, side, box = (0, 0), 0, (0, 0, 0, 0)
    for frame in frames:
        if not pictures:
            size = frame.size
            side = _short_side(size, shape, rules, rng)
            box = _box(adm_size(size, side), shape, rules, rng)
        if frame.size != size:
            raise ValueError(f"frames change their size from {size} to {frame.size}")
        scaled = frame if min(frame.size) == side else adm_resize(frame, side)
        pictures.append(to_tensor(scaled.crop(box)))
    clip = torch.stack(pictures, dim=1)
    return clip.flip(-1) if rules.flip and rng.random() < 0.5 else clip


def _short_side(
    size: tuple[int, int], shape: tuple[int, int], rules: CropRules, rng: random.Random
) -> int:
    """The short side to scale to: as the rules say, but large enough for the crop."""
    (width, height), (H, W) = size, shape
    wanted = rules.short_side
    if isinstance(wanted, tuple):
        wanted = rng.randint(*wanted)
    side = max(wanted or min(size), math.ceil(max(W / width, H / height) * min(size)))
    # Halving rounds sizes down, so the long side may come out one pixel short
    while (scaled := adm_size(size, side))[0] < W or scaled[1] < H:
        side += 1
    return side


def _box(
    size: tuple[int, int], shape: tuple[int, int], rules: CropRules, rng: random.Random
) -> tuple[int, int, int, int]:
    (width, height), (H, W) = size, shape
    if rules.crop == "center":
        left, top = (width - W) // 2, (height - H) // 2
    else:
        left, top = rng.randint(0, width - W), rng.randint(0, height - H)
    return left, top, left + W, top + H
