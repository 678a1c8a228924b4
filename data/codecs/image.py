"""Reading one image: any common format, as upright 8-bit sRGB.

    frame          the first one of an animation
    orientation    EXIF's, or XMP's where EXIF has none, is applied
    profile        an embedded ICC profile is converted to sRGB; one that cannot be read is ignored
    CMYK           by its profile; without one R = (1 - C)(1 - K); Adobe's inverted JPEGs included
    transparency   over white: alpha channels, palettes and single transparent colours
    wide greys     16 bit (or the TIFF's own depth) and float scaled to 8 bits, rounded
    16-bit colour  its upper byte
    damage         a file that ends early or fails a checksum is refused, never half read
    size           more than MAX_PIXELS pixels are refused before anything is decoded

PNG's gAMA and cHRM chunks are not applied. A JPEG has no checksum, so flipped bits may pass.
"""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageCms, UnidentifiedImageError
from torch import Tensor

from ..sources.location import Location, as_location

# The largest image, 8192 x 8192: with an alpha channel it takes 600 MiB to read.
MAX_PIXELS = 2**26

# Pillow's other plugins are rare, or run programs (EPS calls Ghostscript).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")

# What Pillow's decoders raise on damaged files besides OSError.
DAMAGE = (
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    OverflowError,
    IndexError,
    KeyError,
    AttributeError,
    ZeroDivisionError,
    struct.error,
    Image.DecompressionBombError,
)

_ORIENTATION = 0x0112
_TIFF_BITS, _TIFF_PHOTOMETRIC = 258, 262
_WHITE_IS_ZERO = 0
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(source: Location | Path | str) -> Image.Image:
    """Read an image as upright 8-bit sRGB.

    Raises:
        OSError: the file is missing, damaged, too large, or no image.
    """
    location = as_location(source)
    with location.open() as stream, decoding(location):
        return read_picture(stream)


def read_picture(stream: io.BufferedIOBase) -> Image.Image:
    """Decode the first frame of an open image."""
    with open_picture(stream) as image:
        image.load()
        return _upright(to_rgb(image), image)


def image_size(source: Location | Path | str) -> tuple[int, int]:
    """Width and height of the upright image, from the header alone.

    Raises:
        OSError: the file is missing, damaged, too large, or no image.
    """
    location = as_location(source)
    with location.open() as stream, decoding(location), open_picture(stream) as image:
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


def open_picture(stream: io.BufferedIOBase) -> Image.Image:
    """Read an image's header; its size is checked before anything is decoded."""
    file: Any = stream  # Pillow reads any stream that can seek; its annotation knows typing.IO only
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError(
            f"{image.width} x {image.height} pixels, more than the {MAX_PIXELS} that are read"
        )
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow mode to 8-bit sRGB."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _wide_grey_to_rgb(image)
    colours, alpha = _split_alpha(image)
    rgb = _to_srgb(colours, image.info.get("icc_profile"))
    if alpha is None:
        return rgb
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=alpha)
    return white


def to_tensor(image: Image.Image) -> UInt8[Tensor, "3 H W"]:
    """An RGB image as a uint8 tensor."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def to_picture(tensor: UInt8[Tensor, "3 H W"]) -> Image.Image:
    """A uint8 tensor as an RGB image."""
    return Image.fromarray(tensor.permute(1, 2, 0).numpy())


@contextmanager
def decoding(location: Location) -> Iterator[None]:
    """What Pillow raises on damaged files becomes OSError, under the file's name."""
    # Pillow warns of odd metadata that does not concern the image; what does concern it raises.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except UnidentifiedImageError as error:
            raise OSError(f"{location}: no picture, or its header is damaged") from error
        except (*DAMAGE, OSError) as error:
            raise OSError(f"{location}: {type(error).__name__}: {error}") from error


def _orientation(image: Image.Image) -> int:
    """1 to 8; metadata that cannot be read turns nothing."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except (OSError, *DAMAGE):
        return 1


def _upright(picture: Image.Image, image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return picture if turn is None else picture.transpose(turn)


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours without transparency, and the transparency where there is any."""
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    elif image.mode == "PA" or "transparency" in image.info:
        image = _key_to_alpha(image)
    if image.mode in ("RGBA", "LA"):
        return image.convert(image.mode.removesuffix("A")), image.getchannel("A")
    return image, None


def _key_to_alpha(image: Image.Image) -> Image.Image:
    """Transparent colours and palette entries as an alpha channel."""
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:
        # PNG gives the colour in 16 bits, while Pillow keeps the upper byte of every sample
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image.convert("RGBA")


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert colours, by the profile where it fits the image's mode."""
    if image.mode == "LAB":
        profile = None
    elif image.mode not in ("L", "CMYK", "RGB"):
        image = image.convert("RGB")
    transform = _srgb_transform(profile, image.mode)
    if transform is not None:
        return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=32)
def _srgb_transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB, or None where nothing is to be done or the profile is broken."""
    if profile is None and mode != "LAB":
        return None
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    try:
        own = lab if profile is None else ImageCms.getOpenProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(own, srgb, mode, "RGB")
    except (ImageCms.PyCMSError, *DAMAGE, OSError):
        return None
    return None if _changes_nothing(transform, mode) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a profile is sRGB itself, to within two levels on a cube of colours."""
    if mode in ("CMYK", "LAB"):
        return False
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    image = Image.fromarray(cube)
    image = image.convert(mode) if mode == "L" else image
    before, after = np.asarray(image.convert("RGB"), int), np.asarray(transform.apply(image), int)
    return bool(np.abs(before - after).max() <= 2)


def _wide_grey_to_rgb(image: Image.Image) -> Image.Image:
    """Greys beyond 8 bits: integers by their depth, floats to 1 (or to 255 where they exceed 1)."""
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})  # TIFF alone has tags
    if image.mode == "F":
        if not np.isfinite(values).all():
            raise ValueError("a float picture with values that are not finite")
        white = 1.0 if values.max(initial=0.0) <= 1.0 else 255.0
    else:
        bits = tags.get(_TIFF_BITS, (16,))[0]
        white = 2.0 ** min(bits, 16) - 1
        if values.max(initial=0) > white or values.min(initial=0) < 0:
            raise ValueError(f"integer greys must be in [0, {white:.0f}], got {values.max()}")
    # Row by row in float32, so that a large image takes no more than its result
    grey = np.empty(values.shape, dtype=np.uint8)
    for row, target in zip(values, grey, strict=True):
        target[:] = np.clip(np.rint(row * np.float64(255.0 / white)), 0, 255)
    if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO and image.mode != "F":
        grey = 255 - grey
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey = np.where(values == key, np.uint8(255), grey)
    return Image.fromarray(grey).convert("RGB")
