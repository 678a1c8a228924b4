"""Error maps: absolute differences of a reconstruction, on a scale that all maps share."""

import numpy as np
from jaxtyping import UInt8
from matplotlib import colormaps
from PIL import Image
from torch import Tensor

FULL_SCALE = 48.0
"""Mean absolute error over the three channels, in gray levels, that has the brightest color."""


def error_map(
    original: UInt8[Tensor, "3 H W"], reconstruction: UInt8[Tensor, "3 H W"]
) -> Image.Image:
    """Draw the mean absolute difference of each pixel; equal pixels are black."""
    difference = (original.float() - reconstruction.float()).abs().mean(dim=0)
    share = (difference / FULL_SCALE).clamp(max=1.0).numpy()
    colors = colormaps["magma"](share)[..., :3]
    return Image.fromarray(np.rint(255 * colors).astype(np.uint8))
