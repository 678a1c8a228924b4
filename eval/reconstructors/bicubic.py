"""Shrink and enlarge again: what no tokenizer of the same factor may fall below."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from ...data.codecs.image import to_pil, to_tensor
from .identity import RAW_BITS
from .reconstructor import Clips, Reconstruction, Reconstructor


class Bicubic(Reconstructor):
    """Shrink and enlarge with Pillow's bicubic filter, frame by frame.

    Args:
        factor: by which each side shrinks, at least 1.
    """

    def __init__(self, factor: int) -> None:
        if factor < 1:
            raise ValueError(f"bicubic f must be >= 1, got {factor}")
        self.name, self.factor = f"bicubic:f={factor}", factor

    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """The small image counts 24 bits per pixel of its own."""
        restored = torch.stack(
            [
                torch.stack([self._frame(f) for f in map(to_pil, clip.unbind(1))], dim=1)
                for clip in clips
            ]
        )
        H, W = clips.shape[3:]
        small_W, small_H = self._small(W, H)
        rate = RAW_BITS * small_W * small_H / (W * H)
        return Reconstruction(restored, (rate,) * len(clips), None, None)

    def _small(self, width: int, height: int) -> tuple[int, int]:
        return max(1, width // self.factor), max(1, height // self.factor)

    def _frame(self, picture: Image.Image) -> Tensor:
        shrunk = picture.resize(self._small(*picture.size), Image.Resampling.BICUBIC)
        return to_tensor(shrunk.resize(picture.size, Image.Resampling.BICUBIC))
