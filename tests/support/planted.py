"""Reconstructors with an artifact planted in them, for tests that must find it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vistok.data.pixels import to_pixels, to_uint8
from vistok.eval.reconstructors.reconstructor import Clips, Reconstruction, Reconstructor


class Planted(Reconstructor):
    """The images, and something done to their gray levels.

    Args:
        artifact: from gray levels (B, 3, T, H, W) to gray levels.
        tiled_artifact: the same, when working in tiles; takes the tile's side, too.
    """

    name = "planted"

    def __init__(
        self,
        artifact: Callable[[Tensor], Tensor] = lambda x: x,
        tiled_artifact: Callable[[Tensor, int], Tensor] | None = None,
    ) -> None:
        self.artifact, self.tiled_artifact = artifact, tiled_artifact

    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        pixels = to_pixels(clips)
        changed = self.artifact((pixels + 1) * 127.5) / 127.5 - 1
        pixels = changed.clamp(-1, 1)
        return Reconstruction(to_uint8(pixels), None, None, None, pixels=pixels)

    def tile_side(self, max_side: int) -> int | None:
        return max_side if self.tiled_artifact else None

    def tiled(self, tile: int) -> Reconstructor:
        artifact = self.tiled_artifact
        assert artifact is not None
        return Planted(lambda x: artifact(x, tile))


def photos(size: int, count: int = 2) -> Clips:
    """Real images of the bundled set."""
    from vistok.data.evaluation_set import EvaluationSet
    from vistok.data.sources.source import list_source

    dataset = EvaluationSet(list_source("samples:heldout").files, size, 1, count)
    clips = [clip for _, clip, _ in map(dataset.__getitem__, range(count)) if clip is not None]
    assert len(clips) == count
    return torch.stack(clips)


def moving(size: int, frames: int) -> Clips:
    """A image that slides, two pixels a frame."""
    image = photos(size, 1)
    shifted = [image[:, :, 0].roll(2 * t, dims=3) for t in range(frames)]
    return torch.stack(shifted, dim=2)
