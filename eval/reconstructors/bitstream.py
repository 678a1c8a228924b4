"""Payload sizes of compressed files: the bytes of image data, without the container.

The payload is the data that changes with the image: entropy-coded scans, slices and tile groups
with their own headers. Signatures, boxes, metadata, the encoder's name, and parameter sets and
tables that are the same for every image of a size and quality do not count: they are to a codec
what weights are to a tokenizer. The rate of the whole file is reported as `stored_bits_per_pixel`.

    JPEG        scans between SOS headers and the next marker (ITU-T T.81, B.1.1)
    WebP        chunks VP8, VP8L and ALPH of the RIFF container (RFC 9649)
    AVIF        item data, box mdat of ISO/IEC 14496-12
    H.264       NAL units 1 ... 5 (ITU-T H.264, table 7-1)
    HEVC        NAL units 0 ... 31 (ITU-T H.265, table 7-1)
    AV1         frames, frame headers, tile groups and lists (AV1 specification, 6.2.2)
"""

import re
from collections.abc import Iterator

_JPEG_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # TEM, RST0 ... RST7, SOI
_JPEG_SOS, _JPEG_EOI = 0xDA, 0xD9
_JPEG_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_NAL_START = re.compile(rb"\x00\x00\x01")
_OBU_IMAGE = {3, 4, 6, 7, 8}  # frame header, tile group, frame, redundant header, tile list


def jpeg_payload(file: bytes) -> int:
    """Count the bytes of the entropy-coded scans of a JPEG file."""
    position, total = 0, 0
    while file[position + 1] != _JPEG_EOI:
        marker = file[position + 1]
        if marker in _JPEG_STANDALONE:
            position += 2
            continue
        position += 2 + int.from_bytes(file[position + 2 : position + 4], "big")
        if marker == _JPEG_SOS:
            end = _JPEG_SCAN_END.search(file, position)
            assert end is not None, "the encoder ends its file with EOI"
            total += end.start() - position
            position = end.start()
    return total


def webp_payload(file: bytes) -> int:
    """Count the bytes of the image chunks of a WebP file."""
    position, total = 12, 0
    while position < len(file):
        name = file[position : position + 4]
        size = int.from_bytes(file[position + 4 : position + 8], "little")
        if name in (b"VP8 ", b"VP8L", b"ALPH"):
            total += size
        position += 8 + size + size % 2  # chunks are padded to even sizes
    return total


def avif_payload(file: bytes) -> int:
    """Count the bytes of an AVIF file's media data boxes, without their headers."""
    position, total = 0, 0
    while position < len(file):
        size = int.from_bytes(file[position : position + 4], "big")
        assert size >= 8, "the encoder writes boxes with 32-bit sizes"
        if file[position + 4 : position + 8] == b"mdat":
            total += size - 8
        position += size
    return total


def h264_payload(packet: bytes) -> int:
    """Count the bytes of the H.264 slices in an Annex B packet."""
    return sum(len(unit) for unit in _nal_units(packet) if 1 <= unit[0] & 0x1F <= 5)


def hevc_payload(packet: bytes) -> int:
    """Count the bytes of the HEVC slices in an Annex B packet."""
    return sum(len(unit) for unit in _nal_units(packet) if (unit[0] >> 1) & 0x3F <= 31)


def av1_payload(packet: bytes) -> int:
    """Count the bytes of the AV1 image units in a packet of size-prefixed units."""
    position, total = 0, 0
    while position < len(packet):
        header = packet[position]
        begin = position + 1 + ((header >> 2) & 1)  # an extension byte may follow
        size, length = _leb128(packet, begin)
        position = begin + length + size
        if (header >> 3) & 0xF in _OBU_IMAGE:
            total += size
    return total


def _nal_units(packet: bytes) -> Iterator[bytes]:
    """Yield the units of a packet without padding; a unit never ends in a zero byte."""
    starts = [match.end() for match in _NAL_START.finditer(packet)]
    ends = [start - 3 for start in starts[1:]] + [len(packet)]
    for start, end in zip(starts, ends, strict=True):
        yield packet[start:end].rstrip(b"\0")


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """Decode a little-endian number of 7 bits per byte; return it and its length in bytes."""
    value = 0
    for length in range(8):
        byte = data[position + length]
        value |= (byte & 0x7F) << (7 * length)
        if byte < 0x80:
            return value, length + 1
    raise AssertionError("an AV1 unit's size has at most 8 bytes")
