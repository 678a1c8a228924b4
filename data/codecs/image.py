"""Reading of images: any common format, as upright 8-bit sRGB.

    frame          the first frame of an animation
    orientation    applied from EXIF, or from XMP if EXIF has none
    profile        an embedded ICC profile is converted to sRGB; an unreadable one is ignored
    CMYK           by its profile; without one R = (1 - C)(1 - K); also Adobe's inverted JPEGs
    transparency   over white: alpha channels, palettes and single transparent colors
    wide grays     16-bit (or of the TIFF's own depth) and float, scaled to 8 bits and rounded
    16-bit color   only the upper byte is used
    damage         a file that ends early or fails a checksum is refused, never read in part
    size           more than MAX_PIXELS pixels are refused before anything is decoded

PNG's gAMA and cHRM chunks are not applied. JPEGs have no checksums, so flipped bits may pass.
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
from .png_checksums import check_png_pixels

# Maximum size of an image, 8192 x 8192: reading one with an alpha channel takes 600 MiB.
MAX_PIXELS = 2**26

# Pillow's other formats are rare, or run other programs (EPS calls Ghostscript).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")

# Errors of Pillow's decoders for damaged files, besides OSError.
DAMAGE_ERRORS = (
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    OverflowError,
    IndexError,
    KeyError,
    AttributeError,
    RuntimeError,
    ZeroDivisionError,
    struct.error,
    Image.DecompressionBombError,
)

_ORIENTATION = 0x0112
_TIFF_BITS, _TIFF_PHOTOMETRIC = 258, 262
_WHITE_IS_ZERO = 0
_TRANSPOSES = {
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
        OSError: the file is missing, damaged, too large, or not an image.
    """
    location = as_location(source)
    with location.open() as stream, decoding(location):
        return decode_image(stream)


def decode_image(stream: io.BufferedIOBase) -> Image.Image:
    """Decode the first frame of an image as upright 8-bit sRGB."""
    check_png_pixels(stream)
    with open_image(stream) as image:
        return upright_rgb(image)


def upright_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any Pillow mode to 8-bit sRGB, turned upright by its metadata."""
    image.load()
    return _upright(to_rgb(image), image)


def image_size(source: Location | Path | str) -> tuple[int, int]:
    """Return the width and height of the upright image, from its header alone.

    Raises:
        OSError: the file is missing, damaged, too large, or not an image.
    """
    location = as_location(source)
    with location.open() as stream, decoding(location), open_image(stream) as image:
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


def open_image(stream: io.BufferedIOBase) -> Image.Image:
    """Read the header of an image, and check its size before anything is decoded."""
    file: Any = stream  # Pillow reads any seekable stream, but its annotation is typing.IO
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError(
            f"{image.width} x {image.height} pixels, more than the maximum of {MAX_PIXELS}"
        )
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any Pillow mode to 8-bit sRGB."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _wide_gray_to_rgb(image)
    opaque, alpha = _split_alpha(image)
    rgb = _to_srgb(opaque, image.info.get("icc_profile"))
    if alpha is None:
        return rgb
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=alpha)
    return white


def to_tensor(image: Image.Image) -> UInt8[Tensor, "3 H W"]:
    """Convert an RGB image to a uint8 tensor."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def to_pil(tensor: UInt8[Tensor, "3 H W"]) -> Image.Image:
    """Convert a uint8 tensor to an RGB image."""
    return Image.fromarray(tensor.permute(1, 2, 0).numpy())


@contextmanager
def decoding(location: Location) -> Iterator[None]:
    """Turn the errors that Pillow raises for damaged files into OSError, with the file's name."""
    # Pillow warns about odd metadata that does not affect the image; what does affect it raises.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except UnidentifiedImageError as error:
            raise OSError(f"{location}: not an image, or its header is damaged") from error
        except (*DAMAGE_ERRORS, OSError) as error:
            raise OSError(f"{location}: {type(error).__name__}: {error}") from error


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; unreadable metadata counts as 1 (upright)."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except (OSError, *DAMAGE_ERRORS):
        return 1


def _upright(rgb: Image.Image, image: Image.Image) -> Image.Image:
    """Apply the orientation of an image to its RGB version."""
    transpose = _TRANSPOSES.get(_orientation(image))
    return rgb if transpose is None else rgb.transpose(transpose)


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the image without transparency, and its alpha channel if it has one."""
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    elif image.mode == "PA" or "transparency" in image.info:
        image = _key_to_alpha(image)
    if image.mode in ("RGBA", "LA"):
        return image.convert(image.mode.removesuffix("A")), image.getchannel("A")
    return image, None


def _key_to_alpha(image: Image.Image) -> Image.Image:
    """Convert a transparent color or palette entry to an alpha channel."""
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:
        # PNG stores the color in 16 bits, while Pillow keeps the upper byte of every sample
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image.convert("RGBA")


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image to sRGB, by its profile if that fits the mode."""
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
    """Return the transform from a profile to sRGB; None if not needed or the profile is broken."""
    if profile is None and mode != "LAB":
        return None
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    try:
        own = lab if profile is None else ImageCms.getOpenProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(own, srgb, mode, "RGB")
    except (ImageCms.PyCMSError, *DAMAGE_ERRORS, OSError):
        return None
    return None if _is_identity(transform, mode) else transform


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether a transform changes no color of a grid by more than two levels."""
    if mode in ("CMYK", "LAB"):
        return False
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    image = Image.fromarray(cube)
    image = image.convert(mode) if mode == "L" else image
    before, after = np.asarray(image.convert("RGB"), int), np.asarray(transform.apply(image), int)
    return bool(np.abs(before - after).max() <= 2)


def _wide_gray_to_rgb(image: Image.Image) -> Image.Image:
    """Scale grays of more than 8 bits: integers by their depth, floats from [0, 1] or [0, 255]."""
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})  # only TIFFs have tags
    if image.mode == "F":
        if not np.isfinite(values).all():
            raise ValueError("a float image with values that are not finite")
        white = 1.0 if values.max(initial=0.0) <= 1.0 else 255.0
    else:
        bits = tags.get(_TIFF_BITS, (16,))[0]
        white = 2.0 ** min(bits, 16) - 1
        if values.max(initial=0) > white or values.min(initial=0) < 0:
            raise ValueError(f"integer grays must be in [0, {white:.0f}], got {values.max()}")
    # Row by row, so that the float values of a large image are never all in memory
    gray = np.empty(values.shape, dtype=np.uint8)
    for row, target in zip(values, gray, strict=True):
        target[:] = np.clip(np.rint(row * np.float64(255.0 / white)), 0, 255)
    if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO and image.mode != "F":
        gray = 255 - gray
    key = image.info.get("transparency")
    if isinstance(key, int):
        gray = np.where(values == key, np.uint8(255), gray)
    return Image.fromarray(gray).convert("RGB")
