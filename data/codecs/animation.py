"""Animated images (GIF, WebP, PNG, AVIF) as videos: frames over white, read by the image rules."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from ..sources.location import Location
from .frame import MAX_FRAME_PIXELS
from .image import decoding, open_image, to_rgb
from .png_checksums import check_png_pixels

ANIMATED_FORMATS = ("GIF", "WEBP", "PNG", "AVIF")

# Browsers show frames for this time if their own duration is missing or below the minimum.
DEFAULT_MILLISECONDS = 100.0
MIN_MILLISECONDS = 11.0


def animation_frames(location: Location) -> Iterator[UInt8[Tensor, "3 H W"]]:
    """Decode the frames of an animation in order.

    Raises:
        OSError: the file is damaged.
    """
    for image in _frames(location):
        with decoding(location):
            frame = np.array(to_rgb(image))
        yield torch.from_numpy(frame).permute(2, 0, 1)


def animation_times(location: Location) -> tuple[Fraction, ...]:
    """Return the times at which frames appear, and at which the last one ends, in seconds."""
    times = [Fraction(0)]
    for image in _frames(location):
        milliseconds = float(image.info.get("duration") or 0.0)
        if milliseconds < MIN_MILLISECONDS:
            milliseconds = DEFAULT_MILLISECONDS
        times.append(times[-1] + Fraction(milliseconds).limit_denominator(1000) / 1000)
    return tuple(times)


def _frames(location: Location) -> Iterator[Image.Image]:
    """Yield the same image object once per frame, with that frame decoded."""
    with location.open() as stream:
        with decoding(location):
            check_png_pixels(stream)
            image = open_image(stream)
            if image.width * image.height > MAX_FRAME_PIXELS:
                raise Image.DecompressionBombError(
                    f"frames of {image.width} x {image.height} pixels, more than the "
                    f"maximum of {MAX_FRAME_PIXELS}"
                )
            count = image.n_frames if image.format in ANIMATED_FORMATS else 1  # pyright: ignore[reportAttributeAccessIssue]
        for number in range(count):
            with decoding(location):
                image.seek(number)
                image.load()
            yield image
