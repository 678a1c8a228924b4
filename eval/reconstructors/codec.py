"""Classical codecs as reconstructors: every clip is coded separately, at its actual rate."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from .reconstructor import Clips, Reconstruction, Reconstructor


@dataclass(frozen=True)
class CodedClip:
    """A clip after encoding and decoding, with its size and time.

    Attributes:
        clip: decoded 8-bit clip.
        payload_bytes: size of the image data; see `bitstream.py`.
        stored_bytes: size of the whole file, including its container.
        encode_seconds: time to encode.
        decode_seconds: time to decode.
    """

    clip: UInt8[Tensor, "3 T H W"]
    payload_bytes: int
    stored_bytes: int
    encode_seconds: float
    decode_seconds: float


class Codec(Reconstructor):
    """A codec at one quality setting."""

    def reconstruct(self, clips: Clips, keys: Sequence[str]) -> Reconstruction:
        """Code every clip separately, so that its rate does not depend on the rest of the batch."""
        coded = [self.code(clip) for clip in clips]
        num_pixels = clips[0, 0].numel()
        return Reconstruction(
            clips=torch.stack([one.clip for one in coded]),
            bits_per_pixel=tuple(8 * one.payload_bytes / num_pixels for one in coded),
            encode_seconds=sum(one.encode_seconds for one in coded),
            decode_seconds=sum(one.decode_seconds for one in coded),
            stored_bits_per_pixel=tuple(8 * one.stored_bytes / num_pixels for one in coded),
        )

    @abstractmethod
    def code(self, clip: UInt8[Tensor, "3 T H W"]) -> CodedClip:
        """Encode and decode one clip."""
