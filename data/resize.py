"""Resizing and cropping of images.

`adm_resize` is the resize of the ADM evaluation (arXiv 2105.05233): halve with a box filter while
the short side is at least twice the target, then resize bicubically. Published scores depend on
this choice; `CENTER_CROPS` names the three that papers use.
"""

from collections.abc import Callable
from functools import partial

from PIL import Image

from .codecs.image import MAX_PIXELS


def adm_resize(image: Image.Image, short_side: int) -> Image.Image:
    """Resize an image so that its short side is `short_side`.

    Raises:
        ValueError: the aspect ratio is so extreme that the result would be too large.
    """
    size = adm_size(image.size, short_side)
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(
            f"{image.width} x {image.height} pixels with the short side at {short_side} would be "
            f"{size[0]} x {size[1]}, more than the maximum of {MAX_PIXELS} pixels"
        )
    while min(image.size) >= 2 * short_side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    return image.resize(size, Image.Resampling.BICUBIC)


def adm_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Return the width and height of the result of `adm_resize`."""
    width, height = size
    while min(width, height) >= 2 * short_side:
        width, height = width // 2, height // 2
    scale = short_side / min(width, height)
    return round(width * scale), round(height * scale)


def adm_center_crop(image: Image.Image, size: int) -> Image.Image:
    """Resize the short side to `size` and crop the central square."""
    image = adm_resize(image, size)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def pillow_center_crop(
    image: Image.Image, size: int, resampling: Image.Resampling = Image.Resampling.BILINEAR
) -> Image.Image:
    """Resize the short side to `size` by one Pillow call, then crop the central square.

    Sizes and offsets are rounded as by torchvision's Resize and CenterCrop.

    Raises:
        ValueError: the aspect ratio is so extreme that the result would be too large.
    """
    short = min(image.size)
    width, height = (size * side // short for side in image.size)
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{image.width} x {image.height} pixels with the short side at {size} would be "
            f"{width} x {height}, more than the maximum of {MAX_PIXELS} pixels"
        )
    image = image.resize((width, height), resampling)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


CENTER_CROPS: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "adm": adm_center_crop,
    "bilinear": partial(pillow_center_crop, resampling=Image.Resampling.BILINEAR),
    "bicubic": partial(pillow_center_crop, resampling=Image.Resampling.BICUBIC),
}
