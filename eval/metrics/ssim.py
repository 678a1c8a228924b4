"""Structural similarity (Wang et al. 2004), on RGB values in [0, 255].

With local means mu, variances and covariance sigma under a window, and C1 = (0.01 * 255)^2,
C2 = (0.03 * 255)^2:

    (1)  luminance = (2 mu_x mu_y + C1) / (mu_x^2 + mu_y^2 + C1)
    (2)  contrast  = (2 sigma_xy + C2) / (sigma_x^2 + sigma_y^2 + C2)
    (3)  SSIM      = mean of luminance * contrast over channels and windows inside the image

gaussian11   11 x 11, sigma 1.5: the paper's window
uniform7     7 x 7 with the sample covariance (divided by 48, not 49): scikit-image's default

torchmetrics' SSIM is not used: its mean includes windows over mirrored borders. Its full map
without these borders has the mean of gaussian11, but in double precision it takes forty times as
long on a CPU; and its uniform window does not have the sample covariance.
"""

from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float64, Num, Shaped
from torch import Tensor

from ..protocols.image_pair import Pair, flatten_frames
from ..protocols.not_applicable import NotApplicableError
from ..protocols.protocol import CANONICAL, WINDOW_SIDES, Protocol, Window, protocol_of
from .metric import Column, SampleMetric, mean_over_frames, value_of

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
SIGMA = 1.5


class SSIM(SampleMetric):
    """SSIM under a protocol's rules, from -1 to 1 for an exact match.

    Args:
        protocol: the rules or their name; see `Protocol`.
        size: side of the images, in pixels; if given, it is checked at once.

    Raises:
        NotApplicableError: images of this size are smaller than the window.
    """

    name = "ssim"
    higher_is_better = True

    def __init__(self, protocol: Protocol | str = CANONICAL, size: int | None = None) -> None:
        super().__init__()
        self.protocol = rules = protocol_of(protocol)
        side = WINDOW_SIDES[rules.ssim_window]
        if size is not None and size // _pooling(size, rules.ssim_pool) < side:
            raise NotApplicableError(
                f"needs images of at least {side} x {side} pixels, got {size} x {size}"
            )

    def measure(self, pair: Pair) -> dict[str, Column]:
        """Return the SSIM of every sample, averaged over its frames."""
        a, b = (flatten_frames(x) for x in pair.values(self.protocol.ssim_values))
        factor = _pooling(min(a.shape[-2:]), self.protocol.ssim_pool)
        if factor > 1:
            a, b = (F.avg_pool2d(x, factor) for x in (a, b))
        luminance, contrast = similarity_maps(a, b, self.protocol.ssim_window)
        values = (luminance * contrast).mean(dim=(1, 2, 3))  # (3)
        return {"ssim": mean_over_frames(values, len(pair.originals)).cpu()}


def ssim(
    originals: Shaped[Tensor, "B 3 *frames H W"],
    reconstructions: Shaped[Tensor, "B 3 *frames H W"],
    protocol: Protocol | str = CANONICAL,
    reduction: Literal["mean", "none"] = "mean",
) -> Float64[Tensor, "*B"]:
    """Compute the SSIM of clips (B, 3, T, H, W) or images (B, 3, H, W), averaged over frames.

    Args:
        originals: floats in [-1, 1], or uint8.
        reconstructions: floats, clamped to [-1, 1], or uint8; of the same shape.
        protocol: the rules or their name; by default both sides are rounded to 8 bits.
        reduction: mean over the samples, or none for the value of each, (B,).

    Raises:
        ValueError: another shape, images smaller than the window, or originals beyond [-1, 1].
    """
    return value_of(SSIM(protocol), originals, reconstructions, reduction)


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
