"""Reconstructors: anything that maps images to reconstructions, and the result it returns."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int64, UInt8
from torch import Tensor

Clips = UInt8[Tensor, "B 3 T H W"]


@dataclass(frozen=True)
class Reconstruction:
    """A reconstructed batch with its rate, time and codes.

    Attributes:
        clips: reconstructed 8-bit clips, on the CPU.
        bits_per_pixel: rate of every sample's code over its unpadded pixels: the payload of codecs,
            the nominal rate of tokenizers; None if there is no code.
        encode_seconds: time spent encoding the batch; None if encoding and decoding are one step.
        decode_seconds: time spent decoding the batch; None as for `encode_seconds`.
        indices: indices of a discrete tokenizer, (B, t, h, w, groups) per grid.
        pixels: reconstructions in [-1, 1] before rounding, for protocols that compare such values;
            None if only 8-bit values exist.
        values_per_pixel: number of latent values per pixel of a continuous tokenizer.
        stored_bits_per_pixel: rate of each clip's file including its container, if there is a file.
        latents: latents of a network, (B, C, t, h, w) per grid, for visualization.
    """

    clips: Clips
    bits_per_pixel: tuple[float, ...] | None = None
    encode_seconds: float | None = None
    decode_seconds: float | None = None
    indices: tuple[Int64[Tensor, "B _ _ _ groups"], ...] | None = None
    pixels: Float[Tensor, "B 3 T H W"] | None = None
    values_per_pixel: float | None = None
    stored_bits_per_pixel: tuple[float, ...] | None = None
    latents: tuple[Float[Tensor, "B _ _ _ _"], ...] | None = None


class Reconstructor(ABC):
    """Anything that reconstructs images: a tokenizer, a codec, a folder of results.

    Attributes:
        name: name in reports.
        parameters: number of weights; None without a network.
        device: device it runs on.
        dtype: dtype of its weights; None without a network.
        group_sizes: number of codes of each group of indices; empty without indices.
        accepts_any_input: whether it takes any images; False if it only has reconstructions of
            certain crops.
        settings: readable description of everything else that affects the result: versions and
            options of a codec, path and tiles of a tokenizer.
    """

    name: str
    parameters: int | None = None
    device: str = "cpu"
    dtype: str | None = None
    group_sizes: tuple[int, ...] = ()
    accepts_any_input: bool = True
    settings: str | None = None

    @property
    def fingerprint(self) -> str | None:
        """Hash that distinguishes reconstructors of one name, such as a hash of all weights."""
        return None

    @abstractmethod
    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """Encode and decode a batch.

        Args:
            clips: 8-bit clips; an image has T = 1.
            keys: names of the clips in the source.
        """

    def tile_side(self, max_side: int) -> int | None:
        """Return the largest supported side of tiles up to `max_side` pixels, None for none."""
        return None

    def tiled(self, tile: int) -> "Reconstructor":
        """Return the same reconstructor, working in tiles of this side.

        Raises:
            ValueError: it does not support tiles of this side.
        """
        raise ValueError(f"{self.name} does not support tiles")

    def check(self, keys: Sequence[str]) -> None:  # noqa: B027 most have nothing to check
        """Raise, before any work, if some of these samples cannot be reconstructed.

        Args:
            keys: names of all samples of the evaluation.

        Raises:
            ValueError: samples without a reconstruction, with their names.
        """
