"""Animated images (GIF, WebP, PNG, AVIF) as video: every frame over white, by the image rules."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from ..sources.location import Location
from .frame import MAX_FRAME_PIXELS
from .image import decoding, open_picture, to_rgb

ANIMATED_FORMATS = ("GIF", "WEBP", "PNG", "AVIF")

# What browsers take for frames without a time, or with one that is too short to show.
USUAL_MILLISECONDS = 100.0
SHORTEST_MILLISECONDS = 11.0


def animation_frames(location: Location) -> Iterator[UInt8[Tensor, "3 H W"]]:
    """The frames in order.

    Raises:
        OSError: the file is damaged.
    """
    for image in _frames(location):
        with decoding(location):
            picture = np.array(to_rgb(image))
        yield torch.from_numpy(picture).permute(2, 0, 1)


def animation_times(location: Location) -> tuple[Fraction, ...]:
    """When each frame appears, in seconds, and when the last one ends."""
    times = [Fraction(0)]
    for image in _frames(location):
        milliseconds = float(image.info.get("duration") or 0.0)
        if milliseconds < SHORTEST_MILLISECONDS:
            milliseconds = USUAL_MILLISECONDS
        times.append(times[-1] + Fraction(milliseconds).limit_denominator(1000) / 1000)
    return tuple(times)


def _frames(location: Location) -> Iterator[Image.Image]:
    """One image object, decoded at frame after frame."""
    with location.open() as stream:
        with decoding(location):
            image = open_picture(stream)
            if image.width * image.height > MAX_FRAME_PIXELS:
                raise Image.DecompressionBombError(
                    f"frames of {image.width} x {image.height} pixels, more than the "
                    f"{MAX_FRAME_PIXELS} that are read"
                )
            count = image.n_frames if image.format in ANIMATED_FORMATS else 1  # pyright: ignore[reportAttributeAccessIssue]
        for number in range(count):
            with decoding(location):
                image.seek(number)
                image.load()
            yield image
