"""A PNG whose pixels are damaged is refused, also where Pillow would show it."""

import io

import numpy as np
import pytest
from PIL import Image

from vistok.data.codecs.animation import animation_frames
from vistok.data.codecs.image import read_image
from vistok.data.sources.location import StoredFile


def png(mode: str, **options) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "PNG", **options)
    return stream.getvalue()


def test_every_flipped_byte_of_the_pixels_is_found(tmp_path):
    original = png("LA")
    start, stop = original.index(b"IDAT") + 4, original.index(b"IEND") - 8
    path = tmp_path / "x.png"
    for place in range(start, stop):
        damaged = bytearray(original)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(OSError, match=r"x\.png: .*damaged: the checksum of a chunk IDAT"):
            read_image(path)


def test_every_frame_of_an_animation_is_checked(tmp_path):
    frame = Image.new("RGB", (8, 8), "red")
    options = {"save_all": True, "append_images": [frame], "duration": 40}
    damaged = bytearray(png("RGB", **options))
    damaged[damaged.index(b"fdAT") + 10] ^= 1
    (tmp_path / "x.png").write_bytes(damaged)
    with pytest.raises(OSError, match="checksum of a chunk fdAT"):
        list(animation_frames(StoredFile(str(tmp_path / "x.png"))))
