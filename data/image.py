"""Reading one image: any file that Pillow opens, as upright 8-bit RGB.

Rules: the first frame of animations; EXIF orientation applied; transparency over white; 16-bit and
float greys scaled to 8 bits; CMYK and palettes converted.
"""

import struct
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

# What Pillow's decoders raise on damaged files besides OSError.
DAMAGE = (SyntaxError, ValueError, TypeError, EOFError, OverflowError, struct.error)


def read_image(path: Path | str) -> Image.Image:
    """Read an image as upright 8-bit RGB.

    Raises:
        OSError: the file is missing, damaged, or no image.
        Image.DecompressionBombError: the picture is larger than Pillow's limit allows.
    """
    # Pillow warns of odd metadata that does not concern the picture; what does concern it raises.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(path) as image:
                image.load()
                return to_rgb(ImageOps.exif_transpose(image))
        except DAMAGE as error:
            raise OSError(f"{path}: {type(error).__name__}: {error}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow mode to RGB."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _wide_grey_to_rgb(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def to_tensor(image: Image.Image) -> UInt8[Tensor, "3 H W"]:
    """An RGB picture as a uint8 tensor."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def _wide_grey_to_rgb(image: Image.Image) -> Image.Image:
    """Greys beyond 8 bits: integers count to 65535, floats to 1 (or to 255 where they exceed 1)."""
    values = np.asarray(image).astype(np.float64)
    float_white = 1.0 if values.max(initial=0.0) <= 1.0 else 255.0
    white = float_white if image.mode == "F" else 65535.0
    grey = np.clip(np.rint(values * (255.0 / white)), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
