"""Structural similarity (Wang et al. 2004), on RGB values in [0, 255].

With local means mu, variances and covariance sigma under a window, and C1 = (0.01 * 255)^2,
C2 = (0.03 * 255)^2:

    (1)  luminance = (2 mu_x mu_y + C1) / (mu_x^2 + mu_y^2 + C1)
    (2)  contrast  = (2 sigma_xy + C2) / (sigma_x^2 + sigma_y^2 + C2)
    (3)  SSIM      = mean of luminance * contrast over channels and windows inside the image

gaussian11   11 x 11, sigma 1.5: the paper's window
uniform7     7 x 7 with the sample covariance (divided by 48, not 49): scikit-image's default

torchmetrics cannot be used here: its mean includes windows over mirrored borders.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float64, Num
from torch import Tensor

from ..protocols.image_pair import Pair, flatten_frames
from ..protocols.not_applicable import NotApplicableError
from ..protocols.protocol import Protocol
from .metric import Column, SampleMetric, mean_over_frames

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
SIGMA = 1.5

Window = Literal["gaussian11", "uniform7"]
WINDOW_SIDES: dict[Window, int] = {"gaussian11": 11, "uniform7": 7}


class SSIM(SampleMetric):
    """SSIM under a protocol's rules.

    Args:
        protocol: the rules; see `Protocol`.
        size: side of the images, in pixels.

    Raises:
        NotApplicableError: images of this size are smaller than the window.
    """

    name = "ssim"

    def __init__(self, protocol: Protocol, size: int) -> None:
        side = WINDOW_SIDES[protocol.ssim_window]
        if size // _pooling(size, protocol.ssim_pool) < side:
            raise NotApplicableError(
                f"needs images of at least {side} x {side} pixels, got {size} x {size}"
            )
        self.protocol = protocol

    def measure(self, pair: Pair) -> dict[str, Column]:
        """Return the SSIM of every sample, averaged over its frames."""
        a, b = (flatten_frames(x) for x in pair.values(self.protocol.ssim_values))
        factor = _pooling(min(a.shape[-2:]), self.protocol.ssim_pool)
        if factor > 1:
            a, b = (F.avg_pool2d(x, factor) for x in (a, b))
        luminance, contrast = similarity_maps(a, b, self.protocol.ssim_window)
        values = (luminance * contrast).mean(dim=(1, 2, 3))  # (3)
        return {"ssim": mean_over_frames(values, len(pair.originals)).cpu()}

    def numbers(self, columns: Mapping[str, Column]) -> dict[str, float]:
        """Return the mean SSIM over samples."""
        return {"ssim": columns["ssim"].mean().item()}


def similarity_maps(
    a: Num[Tensor, "N C H W"], b: Num[Tensor, "N C H W"], window: Window = "gaussian11"
) -> tuple[Float64[Tensor, "N C h w"], Float64[Tensor, "N C h w"]]:
    """Compute the luminance and contrast terms of every window inside the image.

    Raises:
        ValueError: the images are smaller than the window.
    """
    side = WINDOW_SIDES[window]
    H, W = a.shape[-2:]
    if min(H, W) < side:
        raise ValueError(f"SSIM needs images of at least {side} x {side} pixels, got {H} x {W}")
    x, y = a.double(), b.double()
    rows, columns = (_sliding_window(n, window).to(x.device) for n in (H, W))

    def local_mean(values: Tensor) -> Tensor:
        return rows @ values @ columns.mT

    mu_x, mu_y = local_mean(x), local_mean(y)
    sample = side**2 / (side**2 - 1) if window == "uniform7" else 1.0
    # Only the sum sigma_x^2 + sigma_y^2 of the two variances is needed
    variances = sample * (local_mean(x * x + y * y) - mu_x**2 - mu_y**2)
    covariance = sample * (local_mean(x * y) - mu_x * mu_y)
    luminance = (2 * mu_x * mu_y + C1) / (mu_x**2 + mu_y**2 + C1)  # (1)
    contrast = (2 * covariance + C2) / (variances + C2)  # (2)
    return luminance, contrast


@lru_cache(maxsize=32)
def _sliding_window(length: int, window: Window) -> Float64[Tensor, "windows length"]:
    """Build the window as a matrix: two matrix products cost less than a convolution."""
    side = WINDOW_SIDES[window]
    axis = torch.arange(side, dtype=torch.float64) - side // 2
    weights = torch.exp(-(axis**2) / (2 * SIGMA**2)) if window == "gaussian11" else axis * 0 + 1
    matrix = torch.zeros(length - side + 1, length, dtype=torch.float64)
    for offset, weight in enumerate((weights / weights.sum()).tolist()):
        matrix.diagonal(offset).fill_(weight)
    return matrix


def _pooling(short_side: int, pool: bool) -> int:
    return max(1, round(short_side / 256)) if pool else 1
