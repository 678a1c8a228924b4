"""Cropping: a training sample is scaled, cropped and flipped from an image or clip."""

import math
import random
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

import torch
from jaxtyping import UInt8
from PIL import Image
from pydantic import ConfigDict, Field, PositiveFloat, model_validator
from torch import Tensor

from ...config import ConfigSection, PositiveInt
from ..codecs.frame_rate import frame_rate
from ..codecs.image import to_tensor
from ..resize import adm_resize, adm_size
from .batch_kind import BatchKind, BucketRow, Buckets, Shape


class CropRules(ConfigSection):
    """Size, frames and random transforms of training samples."""

    model_config = ConfigDict(frozen=True)

    size: PositiveInt = 256
    """Side of the square crops, in pixels."""
    buckets: Buckets = ()
    """Heights and widths of crops, in pixels, instead of `size`. Every file goes to the bucket
    nearest to its aspect ratio, or to all of them where several are equally near. Or rows {frames,
    size, share, batch_size}: several lengths and resolutions in one run, each with its share of
    the steps; `size` and `frames` are then their defaults, and those of evaluations."""
    frames: PositiveInt = 1
    """Frames per clip: 1 + k * temporal compression. With 1, samples are images and single frames
    of videos."""
    stride: PositiveInt = 1
    """Distance between consecutive frames of a clip, in frames of the video."""
    fps: PositiveFloat | None = None
    """Frames per second that videos are resampled to before `stride` counts; null keeps their own
    rate."""
    image_ratio: float = Field(default=0.0, ge=0, lt=1)
    """Share of the steps that train on images (one frame) where frames > 1."""
    short_side: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    """Short side of the images before cropping, in pixels, or the range it is drawn from; null
    keeps their own. It is never smaller than the crop needs."""
    crop: Literal["random", "center"] = "random"
    """Position of the crop: drawn anew for every sample, or the center."""
    flip: bool = True
    """Mirror half of the samples horizontally."""

    @model_validator(mode="after")
    def _every_rule_has_an_effect(self) -> "CropRules":
        if self.rows and self.image_ratio:
            raise ValueError(
                f"image_ratio={self.image_ratio:g} and rows in buckets exclude each other; give "
                "images a row {frames: 1, share: ...}"
            )
        if self.frames == 1:
            for name, value in (("image_ratio", self.image_ratio), ("fps", self.fps)):
                if value:
                    raise ValueError(f"{name}={value:g} needs frames > 1, got frames=1")
        shortest = min(self.short_side) if isinstance(self.short_side, tuple) else self.short_side
        if isinstance(self.short_side, tuple) and self.short_side[0] > self.short_side[1]:
            raise ValueError(f"short_side must rise, got {list(self.short_side)}")
        needed = min(min(shape) for shape in self.shapes)
        if shortest is not None and shortest < needed:
            raise ValueError(f"short_side must be at least the crop's, {needed}, got {shortest}")
        return self

    @model_validator(mode="after")
    def _rows_differ_and_agree_with_frames(self) -> "CropRules":
        kinds = [(kind.frames, kind.shapes) for kind in self.kinds]
        for number, kind in enumerate(kinds):
            if kind in kinds[:number]:
                raise ValueError(
                    f"buckets.{number} repeats frames and size of buckets.{kinds.index(kind)}; "
                    "add their shares in one row"
                )
        if self.rows and (self.frames > 1) != self.has_clips:
            lengths = ", ".join(str(row.frames or self.frames) for row in self.rows)
            raise ValueError(
                f"frames={self.frames} is the length of evaluated samples, but buckets have "
                f"frames {lengths}; set data.frames to one of the clips' lengths, or to 1 where "
                "all rows are images"
            )
        return self

    @property
    def rows(self) -> tuple[BucketRow, ...]:
        """The rows in `buckets`; empty where it holds heights and widths."""
        return tuple(bucket for bucket in self.buckets if isinstance(bucket, BucketRow))

    @property
    def kinds(self) -> tuple[BatchKind, ...]:
        """The kinds of batches, in the order of the rows, or clips before images."""
        if self.rows:
            return tuple(
                BatchKind(
                    frames=row.frames or self.frames,
                    shapes=_shapes(row.size or self.size),
                    share=row.share,
                    batch_size=row.batch_size,
                )
                for row in self.rows
            )
        shapes = tuple(b for b in self.buckets if isinstance(b, tuple)) or _shapes(self.size)
        shares = {self.frames: 1.0 - self.image_ratio}
        if self.image_ratio:
            shares[1] = self.image_ratio
        return tuple(BatchKind(frames, shapes, share) for frames, share in shares.items())

    @property
    def has_clips(self) -> bool:
        """True if some samples have several frames."""
        return any(kind.frames > 1 for kind in self.kinds)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Heights and widths of the crops, each once."""
        return tuple(dict.fromkeys(shape for kind in self.kinds for shape in kind.shapes))

    @property
    def rate(self) -> Fraction | None:
        """The frame rate as a fraction, such as 30000/1001."""
        return None if self.fps is None else frame_rate(self.fps)


def _shapes(size: int | Shape | tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Return heights and widths of a size: of a side, one height and width, or several."""
    match size:
        case int():
            return ((size, size),)
        case (int(H), int(W)):
            return ((H, W),)
        case _:
            return size


def crop_frames(
    frames: Iterable[Image.Image], shape: Shape, rules: CropRules, rng: random.Random
) -> UInt8[Tensor, "3 T H W"]:
    """Scale, crop and flip the frames of one sample, all in the same way.

    Args:
        frames: the images of one sample.
        shape: height and width of the crop.
        rules: short side, position and flip.
        rng: source of the random choices.

    Raises:
        ValueError: the frames have different sizes.
    """
    images: list[Tensor] = []
    size, side, box = (0, 0), 0, (0, 0, 0, 0)
    for frame in frames:
        if not images:
            size = frame.size
            side = _short_side(size, shape, rules, rng)
            box = _box(adm_size(size, side), shape, rules, rng)
        if frame.size != size:
            raise ValueError(f"the frames change size from {size} to {frame.size}")
        scaled = frame if min(frame.size) == side else adm_resize(frame, side)
        images.append(to_tensor(scaled.crop(box)))
    clip = torch.stack(images, dim=1)
    return clip.flip(-1) if rules.flip and rng.random() < 0.5 else clip


def _short_side(size: tuple[int, int], shape: Shape, rules: CropRules, rng: random.Random) -> int:
    """Return the short side to scale to: that of the rules, but large enough for the crop."""
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
    size: tuple[int, int], shape: Shape, rules: CropRules, rng: random.Random
) -> tuple[int, int, int, int]:
    (width, height), (H, W) = size, shape
    if rules.crop == "center":
        left, top = (width - W) // 2, (height - H) // 2
    else:
        left, top = rng.randint(0, width - W), rng.randint(0, height - H)
    return left, top, left + W, top + H
