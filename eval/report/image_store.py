"""The images of a page, each of which is stored once however often it is shown.

The page contains them as data URIs of WebP images, under short ids; its script assigns them to the
elements that name them.
"""

import base64
import hashlib
import io

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from ...data.codecs.image import to_pil


class ImageStore:
    """The images of a page by id, without duplicates.

    Attributes:
        uris: data URIs by id.
        sizes: width and height by id, in pixels.
    """

    def __init__(self) -> None:
        self.uris: dict[str, str] = {}
        self.sizes: dict[str, tuple[int, int]] = {}

    def add(self, image: Image.Image, lossless: bool = True) -> str:
        """Store an image and return its id; equal images have the same id."""
        digest = hashlib.sha256(repr((image.mode, image.size, lossless)).encode())
        digest.update(image.tobytes())
        key = digest.hexdigest()[:10]
        if key not in self.uris:
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", lossless=lossless, quality=80)
            encoded = base64.b64encode(buffer.getvalue()).decode()
            self.uris[key] = "data:image/webp;base64," + encoded
            self.sizes[key] = image.size
        return key

    def add_frame(self, frame: UInt8[Tensor, "3 H W"], lossless: bool = True) -> str:
        """Store a frame and return its id."""
        return self.add(to_pil(frame), lossless)
