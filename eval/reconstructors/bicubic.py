"""Bicubic downscaling and upscaling: the lower bound for tokenizers of the same factor."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from ...data.codecs.image import to_pil, to_tensor
from .identity import RAW_BITS
from .reconstructor import Clips, Reconstruction, Reconstructor


class Bicubic(Reconstructor):
    """Downscaling and upscaling with Pillow's bicubic filter, frame by frame.

    Args:
        factor: factor by which each side is downscaled, at least 1.
    """

    def __init__(self, factor: int) -> None:
        if factor < 1:
            raise ValueError(f"bicubic f must be >= 1, got {factor}")
        self.name, self.factor = f"bicubic:f={factor}", factor

    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """Downscale and upscale; the small image counts as 24 bits for each of its pixels."""
        restored = torch.stack(
            [
                torch.stack([self._frame(f) for f in map(to_pil, clip.unbind(1))], dim=1)
                for clip in clips
            ]
        )
        H, W = clips.shape[3:]
        small_W, small_H = self._small(W, H)
        rate = RAW_BITS * small_W * small_H / (W * H)
        return Reconstruction(clips=restored, bits_per_pixel=(rate,) * len(clips))

    def _small(self, width: int, height: int) -> tuple[int, int]:
        return max(1, width // self.factor), max(1, height // self.factor)

    def _frame(self, image: Image.Image) -> Tensor:
        small = image.resize(self._small(*image.size), Image.Resampling.BICUBIC)
        return to_tensor(small.resize(image.size, Image.Resampling.BICUBIC))
