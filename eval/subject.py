"""Subjects: everything that can be scored, behind one call from pictures to reconstructions.

DIR or hub id   a saved VisualTokenizer
identity        the pictures themselves
bicubic:f=8     shrink by f, enlarge again (Pillow's bicubic): what no tokenizer may fall below
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from ..component import did_you_mean
from ..data.image import to_picture, to_tensor
from ..data.pixels import to_pixels, to_uint8
from ..tokenizers.evaluating import evaluating
from ..tokenizers.fingerprint import fingerprint
from ..tokenizers.tokenizer import VisualTokenizer

Clips = UInt8[Tensor, "B 3 T H W"]


@dataclass(frozen=True)
class Reconstruction:
    """A batch after the round trip.

    Attributes:
        clips: what came back, 8 bit.
        bits_per_pixel: rate of each clip's code, or None where there is no code.
        encode_seconds: time spent encoding, or None where both ways are one.
        decode_seconds: time spent decoding.
        indices: of discrete tokenizers, (B, t, h, w, groups) per grid.
        pixels: in [-1, 1] before rounding, for protocols that compare such values; None where
            there are only 8 bits.
        values_per_pixel: latent values of continuous tokenizers.
        stored_bits_per_pixel: rate of each clip's file with its container, where there is one.
    """

    clips: Clips
    bits_per_pixel: tuple[float, ...] | None
    encode_seconds: float | None
    decode_seconds: float | None
    indices: tuple[Int64[Tensor, "B _ _ _ groups"], ...] | None = None
    pixels: Float[Tensor, "B 3 T H W"] | None = None
    values_per_pixel: float | None = None
    stored_bits_per_pixel: tuple[float, ...] | None = None


class Subject(ABC):
    """Something that reconstructs pictures."""

    name: str
    parameters: int | None = None
    device: str = "cpu"
    dtype: str | None = None
    group_sizes: tuple[int, ...] = ()
    """Codes of each group of indices; empty where there are none."""

    @property
    def fingerprint(self) -> str | None:
        """What tells it from others of the same name: of tokenizers, a hash of all weights."""
        return None

    @abstractmethod
    def reconstruct(self, clips: Clips) -> Reconstruction:
        """The round trip of a batch."""


class Tokenizer(Subject):
    """A VisualTokenizer, encoding whole pictures."""

    def __init__(self, name: str, tokenizer: VisualTokenizer) -> None:
        self.name, self.tokenizer = name, tokenizer
        self.parameters = sum(p.numel() for p in tokenizer.parameters())
        self.device = str(tokenizer.device)
        self.dtype = str(tokenizer.dtype).removeprefix("torch.")
        if tokenizer.is_discrete:
            self.group_sizes = tokenizer.quantizer.group_sizes
        self._warm = False
        self._fingerprint: str | None = None

    @property
    def fingerprint(self) -> str:
        """Of weights, config and dtype; taken when it is asked for, since hashing takes time."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.tokenizer)
        return self._fingerprint

    @torch.inference_mode()
    def reconstruct(self, clips: Clips) -> Reconstruction:
        """Encode and decode; the first batch runs once more beforehand, off the clock.

        Raises:
            FloatingPointError: the decoder's answer is not finite.
        """
        with evaluating(self.tokenizer):
            return self._reconstruct(clips)

    def _reconstruct(self, clips: Clips) -> Reconstruction:
        pixels = to_pixels(clips).to(self.tokenizer.device, self.tokenizer.dtype)
        if not self._warm:
            self.tokenizer.reconstruct(pixels)
            self._warm = True
        start = self._now()
        encoding = self.tokenizer.encode(pixels, pad="replicate")
        encoded = self._now()
        decoded = self.tokenizer.decode(encoding.codes, encoding.layout)
        end = self._now()
        if not decoded.isfinite().all():
            raise FloatingPointError(f"{self.name} decodes to NaN or infinity; check its weights")
        values = sum(code[0].numel() for code in encoding.codes) / encoding.layout.num_pixels
        return Reconstruction(
            clips=to_uint8(decoded).cpu(),
            bits_per_pixel=(self.tokenizer.bits_per_pixel(encoding.layout),) * len(clips),
            encode_seconds=encoded - start,
            decode_seconds=end - encoded,
            indices=encoding.indices,
            pixels=decoded.float().clamp(-1, 1),
            values_per_pixel=None if self.tokenizer.is_discrete else values,
        )

    def _now(self) -> float:
        if self.tokenizer.device.type == "cuda":
            torch.cuda.synchronize(self.tokenizer.device)
        return time.perf_counter()


class Function(Subject):
    """Any function from pixels in [-1, 1] to pixels."""

    def __init__(
        self,
        name: str,
        function: Callable[[Float[Tensor, "B 3 T H W"]], Float[Tensor, "B 3 T H W"]],
    ) -> None:
        self.name, self.function = name, function

    @torch.inference_mode()
    def reconstruct(self, clips: Clips) -> Reconstruction:
        """Call the function."""
        pixels = self.function(to_pixels(clips)).float().clamp(-1, 1)
        return Reconstruction(to_uint8(pixels).cpu(), None, None, None, pixels=pixels)


class Identity(Subject):
    """The pictures themselves, at 24 bits per pixel."""

    name = "identity"

    def reconstruct(self, clips: Clips) -> Reconstruction:
        """Nothing happens."""
        return Reconstruction(clips, (24.0,) * len(clips), None, None)


class Bicubic(Subject):
    """Shrink and enlarge with Pillow's bicubic filter, frame by frame."""

    def __init__(self, factor: int) -> None:
        if factor < 1:
            raise ValueError(f"bicubic f must be >= 1, got {factor}")
        self.name, self.factor = f"bicubic:f={factor}", factor

    def reconstruct(self, clips: Clips) -> Reconstruction:
        """The small picture counts 24 bits per pixel of its own."""
        restored = torch.stack(
            [
                torch.stack([self._frame(f) for f in map(to_picture, clip.unbind(1))], dim=1)
                for clip in clips
            ]
        )
        H, W = clips.shape[3:]
        small_W, small_H = self._small(W, H)
        rate = 24.0 * small_W * small_H / (W * H)
        return Reconstruction(restored, (rate,) * len(clips), None, None)

    def _small(self, width: int, height: int) -> tuple[int, int]:
        return max(1, width // self.factor), max(1, height // self.factor)

    def _frame(self, picture: Image.Image) -> Tensor:
        shrunk = picture.resize(self._small(*picture.size), Image.Resampling.BICUBIC)
        return to_tensor(shrunk.resize(picture.size, Image.Resampling.BICUBIC))


def open_subject(spec: str, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Subject:
    """Open what a user names on the command line.

    Raises:
        ValueError: an option of a baseline is wrong.
        FileNotFoundError: no such tokenizer.
    """
    kind, _, options = spec.partition(":")
    if spec == "identity":
        return Identity()
    if kind == "bicubic":
        name, _, value = options.partition("=")
        if name != "f" or not value.isdecimal():
            raise ValueError(f"the baseline is written bicubic:f=8, got {spec!r}")
        return Bicubic(int(value))
    try:
        tokenizer: Any = VisualTokenizer.from_pretrained(spec, torch_dtype=dtype)
    except FileNotFoundError as error:
        hint = did_you_mean(spec, ["identity", "bicubic:f=8"])
        raise FileNotFoundError(f"{error}{hint}") from error
    return Tokenizer(spec, tokenizer.to(device))
