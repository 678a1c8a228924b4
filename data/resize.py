"""Resizing and cropping images.

`adm_resize` is the resize of the ADM evaluation (arXiv 2105.05233): halve with a box filter while
the short side stays at least twice the target, then bicubic. Published scores depend on this
choice; `CENTER_CROPS` names the three that papers use.
"""

from collections.abc import Callable
from functools import partial

from PIL import Image

from .codecs.image import MAX_PIXELS


def adm_resize(image: Image.Image, short_side: int) -> Image.Image:
    """Resize so that the short side is `short_side`.

    Raises:
        ValueError: the image is so long and thin that the result would be too large.
    """
    size = adm_size(image.size, short_side)
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(
            f"{image.width} x {image.height} pixels with the short side at {short_side} would be "
            f"{size[0]} x {size[1]}, more than the {MAX_PIXELS} pixels that are allowed"
        )
    while min(image.size) >= 2 * short_side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    return image.resize(size, Image.Resampling.BICUBIC)


def adm_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Width and height that `adm_resize` gives."""
    width, height = size
    while min(width, height) >= 2 * short_side:
        width, height = width // 2, height // 2
    scale = short_side / min(width, height)
    return round(width * scale), round(height * scale)


def adm_center_crop(image: Image.Image, size: int) -> Image.Image:
    """Resize the short side to `size` and cut out the central square."""
    image = adm_resize(image, size)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def pillow_center_crop(
    image: Image.Image, size: int, resampling: Image.Resampling = Image.Resampling.BILINEAR
) -> Image.Image:
    """One Pillow resize of the short side to `size`, then the central square.

    Sizes and offsets are rounded as torchvision's Resize and CenterCrop round them.

    Raises:
        ValueError: the image is so long and thin that the result would be too large.
    """
    short = min(image.size)
    width, height = (size * side // short for side in image.size)
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{image.width} x {image.height} pixels with the short side at {size} would be "
            f"{width} x {height}, more than the {MAX_PIXELS} pixels that are allowed"
        )
    image = image.resize((width, height), resampling)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


CENTER_CROPS: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "adm": adm_center_crop,
    "bilinear": partial(pillow_center_crop, resampling=Image.Resampling.BILINEAR),
    "bicubic": partial(pillow_center_crop, resampling=Image.Resampling.BICUBIC),
}
