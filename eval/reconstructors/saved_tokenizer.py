"""A VisualTokenizer under evaluation."""

import time
from collections.abc import Sequence

import torch

from ...data.pixels import to_pixels, to_uint8
from ...eval_mode import eval_mode
from ...tokenizers.bottlenecks.dual_path import PathName
from ...tokenizers.encoding import Encoding
from ...tokenizers.fingerprint import fingerprint
from ...tokenizers.tokenizer import VisualTokenizer
from .reconstructor import Clips, Reconstruction, Reconstructor


class TokenizerReconstructor(Reconstructor):
    """A VisualTokenizer, encoding whole images with the posterior's mode.

    Args:
        name: shown in reports.
        tokenizer: on the device where it shall run.
        tile: side in pixels of the tiles it works in; None for whole images.
        path: of a dual-path tokenizer: discrete (None means this one) or continuous.
    """

    def __init__(
        self,
        name: str,
        tokenizer: VisualTokenizer,
        tile: int | None = None,
        path: PathName | None = None,
    ) -> None:
        self.name, self.tokenizer, self.tile = name, tokenizer, tile
        self.path: PathName = path or tokenizer.paths[0]
        self.parameters = sum(p.numel() for p in tokenizer.parameters())
        self.device = str(tokenizer.device)
        self.dtype = str(tokenizer.dtype).removeprefix("torch.")
        if self.path == "discrete":
            self.group_sizes = tokenizer.quantizer.group_sizes
        self.settings = self._settings()
        self._warm = False
        self._fingerprint: str | None = None

    @property
    def fingerprint(self) -> str:
        """Of weights, config and dtype; taken when it is asked for, since hashing takes time."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.tokenizer)
        return self._fingerprint

    @torch.inference_mode()
    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """Encode and decode; the first batch runs once more beforehand, off the clock.

        Raises:
            FloatingPointError: the decoder's answer is not finite.
        """
        with eval_mode(self.tokenizer):
            return self._reconstruct(clips)

    def tile_side(self, wish: int) -> int | None:
        """A multiple of the compression."""
        step = self.tokenizer.spatial_compression
        return wish // step * step or None

    def tiled(self, tile: int) -> "TokenizerReconstructor":
        """Encode and decode tile by tile."""
        return TokenizerReconstructor(self.name, self.tokenizer, tile, self.path)

    def _settings(self) -> str | None:
        """What tells this subject from others of the same weights."""
        path = f"{self.path} path" if len(self.tokenizer.paths) > 1 else None
        tiles = None if self.tile is None else f"tiles of {self.tile} pixels"
        return ", ".join(words for words in (path, tiles) if words) or None

    def _reconstruct(self, clips: Clips) -> Reconstruction:
        pixels = to_pixels(clips).to(self.tokenizer.device, self.tokenizer.dtype)
        if not self._warm:
            self.tokenizer.reconstruct(pixels, self.path)
            self._warm = True
        start = now(self.tokenizer.device)
        encoding = self.tokenizer.encode(pixels, pad="replicate", tile=self.tile)
        encoded = now(self.tokenizer.device)
        indices = encoding.indices if self.path == "discrete" else None
        grids = encoding.latents if indices is None else encoding.codes
        decoded = self.tokenizer.decode(grids, encoding.layout, tile=self.tile)
        end = now(self.tokenizer.device)
        if not decoded.isfinite().all():
            raise FloatingPointError(f"{self.name} decodes to NaN or infinity; check its weights")
        rate = self.tokenizer.bits_per_pixel(encoding.layout, path=self.path)
        return Reconstruction(
            clips=to_uint8(decoded).cpu(),
            pixels=decoded.float().clamp(-1, 1),
            bits_per_pixel=(rate,) * len(clips),
            encode_seconds=encoded - start,
            decode_seconds=end - encoded,
            indices=indices,
            latents=encoding.latents,
            values_per_pixel=_values_per_pixel(encoding) if indices is None else None,
        )


def _values_per_pixel(encoding: Encoding) -> float:
    return sum(grid[0].numel() for grid in encoding.latents) / encoding.layout.num_pixels


def now(device: torch.device) -> float:
    """The clock in seconds, after everything that was started on the device has ended."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
