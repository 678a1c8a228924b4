"""Multi-scale structural similarity (Wang, Simoncelli, Bovik 2003), on RGB values in [0, 255].

Over five scales, each half the previous one (2 x 2 means), with the terms of `ssim.py`:

    (1)  MS-SSIM = SSIM_5^w5 * prod_{s < 5} contrast_s^ws

It is computed per channel, then averaged over channels. Each scale's term is averaged before it is
raised to its power; a negative mean counts as 0.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float64, Num
from torch import Tensor

from ..protocols.image_pair import Pair, flatten_frames
from ..protocols.not_applicable import NotApplicableError
from ..protocols.protocol import Protocol
from .metric import Column, SampleMetric, mean_over_frames
from .ssim import WINDOW_SIDES, similarity_maps

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# The smallest scale must still contain one Gaussian window.
SMALLEST_SIDE = WINDOW_SIDES["gaussian11"] * 2 ** (len(WEIGHTS) - 1)


class MultiScaleSSIM(SampleMetric):
    """MS-SSIM with Gaussian windows.

    Args:
        protocol: the rules, of which the pixel convention of SSIM applies.
        size: side of the images, in pixels.

    Raises:
        NotApplicableError: images of this size are too small for five scales.
    """

    name = "ms_ssim"

    def __init__(self, protocol: Protocol, size: int) -> None:
        if size < SMALLEST_SIDE:
            raise NotApplicableError(
                f"needs images of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels for its five "
                f"scales, got {size} x {size}"
            )
        self.protocol = protocol

    def measure(self, pair: Pair) -> dict[str, Column]:
        """Return the MS-SSIM of every sample, averaged over its frames."""
        a, b = (flatten_frames(x) for x in pair.values(self.protocol.ssim_values))
        return {"ms_ssim": mean_over_frames(multi_scale_ssim(a, b), len(pair.originals)).cpu()}

    def numbers(self, columns: Mapping[str, Column]) -> dict[str, float]:
        """Return the mean MS-SSIM over samples."""
        return {"ms_ssim": columns["ms_ssim"].mean().item()}


def multi_scale_ssim(a: Num[Tensor, "N C H W"], b: Num[Tensor, "N C H W"]) -> Float64[Tensor, "N"]:
    """Compute the MS-SSIM of every image."""
    x, y = a.double(), b.double()
    product = torch.ones(a.shape[:2], dtype=torch.float64, device=a.device)
    for scale, weight in enumerate(WEIGHTS, start=1):
        luminance, contrast = similarity_maps(x, y)
        last = scale == len(WEIGHTS)
        term = (luminance * contrast if last else contrast).mean(dim=(2, 3))
        product = product * term.clamp(min=0) ** weight  # (1)
        if not last:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return product.mean(dim=1)
