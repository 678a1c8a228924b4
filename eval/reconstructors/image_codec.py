"""JPEG, WebP and AVIF with Pillow's defaults (4:2:0); clips are coded frame by frame."""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass

import PIL
import torch
from jaxtyping import UInt8
from PIL import Image, features
from torch import Tensor

from ...data.codecs.image import to_pil, to_tensor
from .bitstream import avif_payload, jpeg_payload, webp_payload
from .codec import Codec, CodedClip


@dataclass(frozen=True)
class ImageFormat:
    """An image format of Pillow.

    Attributes:
        pillow_name: Pillow's name of the format.
        feature: Pillow's name of the library that implements it.
        qualities: lowest and highest quality.
        payload: counts the bytes of image data in a file.
    """

    pillow_name: str
    feature: str
    qualities: tuple[int, int]
    payload: Callable[[bytes], int]


IMAGE_FORMATS = {
    "jpeg": ImageFormat("JPEG", "libjpeg_turbo", (1, 100), jpeg_payload),
    "webp": ImageFormat("WEBP", "webp", (0, 100), webp_payload),
    "avif": ImageFormat("AVIF", "avif", (0, 100), avif_payload),
}


class ImageCodec(Codec):
    """An image format at one quality setting.

    Args:
        kind: jpeg, webp or avif.
        quality: Pillow's `quality`.

    Raises:
        ValueError: the quality is out of range, or Pillow was built without the format.
    """

    def __init__(self, kind: str, quality: int) -> None:
        self.format, self.quality = IMAGE_FORMATS[kind], quality
        lowest, highest = self.format.qualities
        if not lowest <= quality <= highest:
            raise ValueError(f"{kind} q must be in {lowest} ... {highest}, got {quality}")
        if not features.check(self.format.feature):
            raise ValueError(
                f"{kind}: this Pillow was built without {self.format.feature}; "
                "`pip install --upgrade pillow` installs a build that has it"
            )
        self.name = f"{kind}:q={quality}"
        library = features.version(self.format.feature) or "unknown"
        self.settings = (
            f"Pillow {PIL.__version__} defaults, {self.format.feature} {library}, "
            f"quality {quality}, 4:2:0"
        )

    def code(self, clip: UInt8[Tensor, "3 T H W"]) -> CodedClip:
        """Code every frame as a separate file."""
        images = [to_pil(frame) for frame in clip.unbind(1)]
        start = time.perf_counter()
        files = [self._write(image) for image in images]
        encoded = time.perf_counter()
        decoded = [self._read(file) for file in files]
        end = time.perf_counter()
        return CodedClip(
            clip=torch.stack([to_tensor(image) for image in decoded], dim=1),
            payload_bytes=sum(self.format.payload(file) for file in files),
            stored_bytes=sum(map(len, files)),
            encode_seconds=encoded - start,
            decode_seconds=end - encoded,
        )

    def _write(self, image: Image.Image) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, self.format.pillow_name, quality=self.quality)
        return buffer.getvalue()

    def _read(self, file: bytes) -> Image.Image:
        with Image.open(io.BytesIO(file), formats=[self.format.pillow_name]) as image:
            return image.convert("RGB")
