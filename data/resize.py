"""Resizing and cropping pictures.

`adm_resize` is the resize of the ADM evaluation (arXiv 2105.05233): halve with a box filter while
the short side stays at least twice the target, then bicubic. Published scores depend on this
choice.
"""

from PIL import Image


def adm_resize(image: Image.Image, short_side: int) -> Image.Image:
    """Resize so that the short side is `short_side`."""
    while min(image.size) >= 2 * short_side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = short_side / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)


def adm_center_crop(image: Image.Image, size: int) -> Image.Image:
    """Resize the short side to `size` and cut out the central square."""
    image = adm_resize(image, size)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))
