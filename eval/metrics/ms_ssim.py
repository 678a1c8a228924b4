"""Multi-scale structural similarity (Wang, Simoncelli, Bovik 2003), on RGB values in [0, 255].

Over five scales, each half the previous one (2 x 2 means), with the terms of `ssim.py`:

    (1)  MS-SSIM = SSIM_5^w5 * prod_{s < 5} contrast_s^ws

It is computed per channel, then averaged over channels. Each scale's term is averaged before it is
raised to its power; a negative mean counts as 0.

torchmetrics' MS-SSIM is not used: the mean of its smallest scale includes windows over mirrored
borders, which are most of that scale, and its weights are in single precision.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float64, Num, Shaped
from torch import Tensor

from ..protocols.image_pair import Pair, flatten_frames
from ..protocols.not_applicable import NotApplicableError
from ..protocols.protocol import CANONICAL, WINDOW_SIDES, Protocol, protocol_of
from .metric import Column, SampleMetric, mean_over_frames, value_of
from .ssim import similarity_maps

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# The smallest scale must still contain one Gaussian window.
SMALLEST_SIDE = WINDOW_SIDES["gaussian11"] * 2 ** (len(WEIGHTS) - 1)


class MultiScaleSSIM(SampleMetric):
    """MS-SSIM with Gaussian windows, from 0 to 1 for an exact match.

    Args:
        protocol: the rules or their name, of which the pixel convention of SSIM applies.
        size: side of the images, in pixels; if given, it is checked at once.

    Raises:
        NotApplicableError: images of this size are too small for five scales.
    """

    name = "ms_ssim"
    higher_is_better = True

    def __init__(self, protocol: Protocol | str = CANONICAL, size: int | None = None) -> None:
        super().__init__()
        self.protocol = protocol_of(protocol)
        if size is not None:
            _check_size(size, size)

    def measure(self, pair: Pair) -> dict[str, Column]:
        """Return the MS-SSIM of every sample, averaged over its frames."""
        _check_size(*pair.originals.shape[-2:])
        a, b = (flatten_frames(x) for x in pair.values(self.protocol.ssim_values))
        return {"ms_ssim": mean_over_frames(multi_scale_ssim(a, b), len(pair.originals)).cpu()}


def ms_ssim(
    originals: Shaped[Tensor, "B 3 *frames H W"],
    reconstructions: Shaped[Tensor, "B 3 *frames H W"],
    protocol: Protocol | str = CANONICAL,
    reduction: Literal["mean", "none"] = "mean",
) -> Float64[Tensor, "*B"]:
    """Compute the MS-SSIM of clips (B, 3, T, H, W) or images (B, 3, H, W), averaged over frames.

    Args:
        originals: floats in [-1, 1], or uint8; at least 176 x 176 pixels.
        reconstructions: floats, clamped to [-1, 1], or uint8; of the same shape.
        protocol: the rules or their name; by default both sides are rounded to 8 bits.
        reduction: mean over the samples, or none for the value of each, (B,).

    Raises:
        ValueError: another shape, images too small, or originals beyond [-1, 1].
    """
    return value_of(MultiScaleSSIM(protocol), originals, reconstructions, reduction)


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


def _check_size(height: int, width: int) -> None:
    """Raise unless the smallest scale contains a window."""
    if min(height, width) < SMALLEST_SIDE:
        raise NotApplicableError(
            f"needs images of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels for its five "
            f"scales, got {height} x {width}"
        )
