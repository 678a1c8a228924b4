"""A subject: anything that turns images into reconstructions, and what its answer holds."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int64, UInt8
from torch import Tensor

Clips = UInt8[Tensor, "B 3 T H W"]


@dataclass(frozen=True)
class Reconstruction:
    """A batch after the round trip.

    Attributes:
        clips: what came back, 8 bit, on the CPU.
        bits_per_pixel: rate of every sample's code, over its unpadded pixels; None where there is
            no code. Of codecs the payload, of tokenizers the nominal rate.
        encode_seconds: time spent encoding the batch, or None where both ways are one.
        decode_seconds: time spent decoding it.
        indices: of discrete tokenizers, (B, t, h, w, groups) per grid.
        pixels: in [-1, 1] before rounding, for protocols that compare such values; None where
            there are only 8 bits.
        values_per_pixel: latent values of continuous tokenizers.
        stored_bits_per_pixel: rate of each clip's file with its container, where there is one.
        latents: of networks, (B, C, t, h, w) per grid; for images of the latent space.
    """

    clips: Clips
    bits_per_pixel: tuple[float, ...] | None
    encode_seconds: float | None
    decode_seconds: float | None
    indices: tuple[Int64[Tensor, "B _ _ _ groups"], ...] | None = None
    pixels: Float[Tensor, "B 3 T H W"] | None = None
    values_per_pixel: float | None = None
    stored_bits_per_pixel: tuple[float, ...] | None = None
    latents: tuple[Float[Tensor, "B _ _ _ _"], ...] | None = None


class Reconstructor(ABC):
    """Something that reconstructs images."""

    name: str
    parameters: int | None = None
    device: str = "cpu"
    dtype: str | None = None
    group_sizes: tuple[int, ...] = ()
    """Codes of each group of indices; empty where there are none."""
    accepts_any_input: bool = True
    """Whether it takes any images; False where it holds reconstructions of certain crops."""
    settings: str | None = None
    """What else decides the result, in words: options of a codec, path and tiles of a tokenizer."""

    @property
    def fingerprint(self) -> str | None:
        """What tells it from others of the same name: of tokenizers, a hash of all weights."""
        return None

    @abstractmethod
    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """The round trip of a batch.

        Args:
            clips: the images; a single one has T = 1.
            keys: their names in the source, one per clip.
        """

    def tile_side(self, wish: int) -> int | None:
        """The largest side of tiles up to `wish` pixels that it can work in; None for none."""
        return None

    def tiled(self, tile: int) -> "Reconstructor":
        """The same subject, working in tiles of this side.

        Raises:
            ValueError: it does not work in such tiles.
        """
        raise ValueError(f"{self.name} does not work in tiles")

    def check(self, keys: Sequence[str]) -> None:  # noqa: B027 most have nothing to check
        """Raise, before any work, where some of these samples cannot be served.

        Args:
            keys: names of all samples that will be asked for.

        Raises:
            ValueError: with the names of those that are missing.
        """
