"""Structural similarity (Wang et al. 2004): Gaussian window 11 x 11, sigma 1.5, RGB, range 255."""

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

SMALLEST_SIDE = 11


def clip_ssim(
    pictures: UInt8[Tensor, "B 3 T H W"], reconstructions: UInt8[Tensor, "B 3 T H W"]
) -> Float64[Tensor, "B"]:
    """SSIM of every clip: the mean over its frames.

    Raises:
        ValueError: the picture is smaller than the window.
    """
    B, _, T, H, W = pictures.shape
    if min(H, W) < SMALLEST_SIDE:
        raise ValueError(f"SSIM needs pictures of at least 11 x 11 pixels, got {H} x {W}")
    frames, others = (x.transpose(1, 2).flatten(0, 1).double() for x in (pictures, reconstructions))
    values = structural_similarity_index_measure(
        others, frames, gaussian_kernel=True, sigma=1.5, data_range=255.0, reduction="none"
    )
    assert isinstance(values, torch.Tensor), "reduction='none' gives one value per picture"
    return values.view(B, T).mean(dim=1)
