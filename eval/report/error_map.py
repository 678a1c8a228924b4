"""Error maps: where a reconstruction differs, on a fixed scale, so that maps compare."""

import numpy as np
from jaxtyping import UInt8
from matplotlib import colormaps
from PIL import Image
from torch import Tensor

FULL_SCALE = 48.0
"""Grey levels of mean absolute error over the three channels that are drawn brightest."""


def error_map(
    original: UInt8[Tensor, "3 H W"], reconstruction: UInt8[Tensor, "3 H W"]
) -> Image.Image:
    """The mean absolute difference of each pixel, black for none."""
    difference = (original.float() - reconstruction.float()).abs().mean(dim=0)
    share = (difference / FULL_SCALE).clamp(max=1.0).numpy()
    colours = colormaps["magma"](share)[..., :3]
    return Image.fromarray(np.rint(255 * colours).astype(np.uint8))
