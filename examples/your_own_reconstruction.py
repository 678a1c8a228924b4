"""Score any function from pixels to pixels under the same protocol as the tokenizers."""

import torch.nn.functional as F
from torch import Tensor

from vistok import evaluate


def half_resolution(pixels: Tensor) -> Tensor:
    """Throw away three of four pixels, frame by frame; pixels are (B, 3, T, H, W) in [-1, 1]."""
    size = tuple(pixels.shape[2:])
    small = F.interpolate(pixels, scale_factor=(1, 0.5, 0.5), mode="area")
    return F.interpolate(small, size=size, mode="trilinear")


for row in evaluate("samples:heldout", [half_resolution, "bicubic:f=2", "identity"], size=128):
    print(f"{row.tokenizer:<18} {row.metrics['psnr']:6.2f} dB  SSIM {row.metrics['ssim']:.3f}")
