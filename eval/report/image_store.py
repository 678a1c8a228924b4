"""The images of a page: each one stored once, however often it is shown.

Pictures go into the page as lossless WebP in data URIs, under short ids; the page's script hands
them to the elements that name them.
"""

import base64
import hashlib
import io

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from ...data.codecs.image import to_pil


class ImageStore:
    """Images by id.

    Attributes:
        uris: data URIs by id.
        sizes: width and height by id.
    """

    def __init__(self) -> None:
        self.uris: dict[str, str] = {}
        self.sizes: dict[str, tuple[int, int]] = {}

    def add(self, picture: Image.Image, lossless: bool = True) -> str:
        """Store an image and return its id; the same image has the same id."""
        digest = hashlib.sha256(repr((picture.mode, picture.size, lossless)).encode())
        digest.update(picture.tobytes())
        key = digest.hexdigest()[:10]
        if key not in self.uris:
            buffer = io.BytesIO()
            picture.save(buffer, "WEBP", lossless=lossless, quality=80)
            encoded = base64.b64encode(buffer.getvalue()).decode()
            self.uris[key] = "data:image/webp;base64," + encoded
            self.sizes[key] = picture.size
        return key

    def add_frame(self, frame: UInt8[Tensor, "3 H W"], lossless: bool = True) -> str:
        """Store a frame."""
        return self.add(to_pil(frame), lossless)
