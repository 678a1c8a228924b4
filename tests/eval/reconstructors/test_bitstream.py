"""Payload sizes: what a file says beside its image is not counted, all of the image is."""

import io

import pytest
from PIL import Image

from vistok.data.sources.bundled import SAMPLES
from vistok.eval.reconstructors.bitstream import (
    av1_payload,
    avif_payload,
    h264_payload,
    hevc_payload,
    jpeg_payload,
    webp_payload,
)

EXIF = Image.Exif()
EXIF[270] = "a description " * 20


def image(side: int = 96) -> Image.Image:
    return Image.open(SAMPLES / "images" / "kodim09.jpg").convert("RGB").resize((side, side))


def file(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "payload"), [("JPEG", jpeg_payload), ("WEBP", webp_payload), ("AVIF", avif_payload)]
)
def test_metadata_is_not_counted(kind, payload):
    plain, described = file(image(), kind), file(image(), kind, exif=EXIF.tobytes())
    assert len(described) > len(plain) + 250
    # AVIF keeps metadata beside the image in one box: there only the image itself is compared.
    if kind != "AVIF":
        assert payload(plain) == payload(described)
    assert 0.5 * len(plain) < payload(plain) < len(plain)


def test_jpeg_counts_what_lies_behind_the_tables_of_every_scan():
    flat = Image.new("RGB", (16, 16), (90, 90, 90))
    # Six blocks per macroblock without any coefficient: a few bytes, whatever the tables take.
    assert 1 <= jpeg_payload(file(flat, "JPEG")) <= 12
    once, in_scans = file(image(), "JPEG"), file(image(), "JPEG", progressive=True)
    assert jpeg_payload(once) == len(once) - once.rindex(b"\xff\xda") - 2 - 12 - 2
    assert in_scans.count(b"\xff\xda") > 3
    assert jpeg_payload(in_scans) > 0.7 * jpeg_payload(once)


def test_jpeg_restart_markers_belong_to_their_scan():
    plain = file(image(), "JPEG")
    restarted = file(image(), "JPEG", restart_marker_rows=1)
    assert jpeg_payload(restarted) >= jpeg_payload(plain)


def test_webp_counts_colors_and_transparency():
    opaque = image()
    clear = opaque.copy()
    clear.putalpha(Image.linear_gradient("L").resize(opaque.size))
    assert webp_payload(file(clear, "WEBP")) > webp_payload(file(opaque, "WEBP"))
    lossless = file(opaque, "WEBP", lossless=True)
    assert len(lossless) - 30 < webp_payload(lossless) < len(lossless)


def test_only_slices_of_nal_units_are_counted():
    start = b"\0\0\0\1"
    parameters, information = b"\x67" + bytes(range(1, 20)), b"\x06" + b"x264 says so" * 9
    slices = b"\x65" + b"\x11" * 40, b"\x41" + b"\x22" * 7
    packet = b"".join(start + unit for unit in (parameters, information, *slices))
    assert h264_payload(packet) == 41 + 8
    hevc = b"".join(
        start + unit for unit in (b"\x40\x01abc", b"\x4e\x01def", b"\x26\x01" + b"\x33" * 9)
    )
    assert hevc_payload(hevc) == 11


def test_only_image_units_of_av1_are_counted():
    delimiter, sequence = b"\x12\x00", b"\x0a\x03abc"
    frame = b"\x32" + b"\xac\x02" + b"\x55" * 300  # 300 as 0xAC 0x02
    with_extension = b"\x36\x08\x05" + b"\x66" * 5
    assert av1_payload(delimiter + sequence + frame + with_extension) == 305
