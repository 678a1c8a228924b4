"""Random images and reconstructions of them."""

import torch

from vistok.data.pixels import to_pixels, to_uint8
from vistok.eval.protocols.image_pair import Pair


def random_clips(clips: int, frames: int, size: int, seed: int = 0) -> torch.Tensor:
    """(B, 3, T, H, W) 8 bit, smooth: neighbors are alike, as in images."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(clips, 3, frames, size // 4, size // 4, generator=generator) * 255
    wide = torch.nn.functional.interpolate(
        coarse, (frames, size, size), mode="trilinear", align_corners=True
    )
    return wide.round().to(torch.uint8)


def noisy_pair(clips: int, frames: int, size: int, strength: float = 0.1, seed: int = 0) -> Pair:
    """Random clips, and the same with noise on their values in [-1, 1]."""
    originals = random_clips(clips, frames, size, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    noise = torch.randn(originals.shape, generator=generator) * strength
    pixels = (to_pixels(originals) + noise).clamp(-1, 1)
    return Pair(originals, to_uint8(pixels), pixels)
