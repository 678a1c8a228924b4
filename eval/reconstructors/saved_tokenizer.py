"""A VisualTokenizer as a reconstructor."""

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
    """A VisualTokenizer that encodes whole images or tiles, with the posterior's mode.

    Args:
        name: name in reports.
        tokenizer: tokenizer on the device it should run on.
        tile: side of the tiles, in pixels; None for whole images.
        path: path of a dual-path tokenizer, discrete or continuous; None takes its first path.
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
        """Hash of weights, config and dtype, computed on first use because it takes time."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.tokenizer)
        return self._fingerprint

    @torch.inference_mode()
    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """Encode and decode; the first batch runs twice, and only the second run is timed.

        Raises:
            FloatingPointError: the decoder's output is not finite.
        """
        with eval_mode(self.tokenizer):
            return self._reconstruct(clips)

    def tile_side(self, max_side: int) -> int | None:
        """Return the largest multiple of the compression up to `max_side`, if there is one."""
        step = self.tokenizer.spatial_compression
        return max_side // step * step or None

    def tiled(self, tile: int) -> "TokenizerReconstructor":
        """Return a reconstructor that encodes and decodes tiles of this side."""
        return TokenizerReconstructor(self.name, self.tokenizer, tile, self.path)

    def _settings(self) -> str | None:
        """Describe path and tiles, in which reconstructors with the same weights may differ."""
        path = f"{self.path} path" if len(self.tokenizer.paths) > 1 else None
        tiles = None if self.tile is None else f"tiles of {self.tile} pixels"
        return ", ".join(part for part in (path, tiles) if part) or None

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
    """Return the time in seconds, after all work submitted to the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
