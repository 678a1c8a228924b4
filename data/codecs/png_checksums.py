"""Checksums of the pixels of a PNG: Pillow compares those of the other chunks only.

A PNG is a signature and chunks: length, type, data, and the CRC-32 of type and data. Pillow skips
the CRC of pixel data and stops before zlib's own checksum, so a damaged file may show wrong pixels.
"""

import io
import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"IDAT", b"fdAT")
_PIECE = 2**20  # bytes


def check_png_pixels(stream: io.BufferedIOBase) -> None:
    """Compare the pixel chunks of a PNG with their checksums, and rewind the stream.

    Files of other formats pass, and so do truncated chunks, which Pillow refuses itself.

    Raises:
        OSError: a checksum is wrong.
    """
    try:
        if stream.read(len(SIGNATURE)) != SIGNATURE:
            return
        while len(header := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", header)
            if kind == b"IEND":
                return
            if kind not in _PIXELS:
                stream.seek(length + 4, io.SEEK_CUR)
                continue
            computed, stored = _crc(stream, kind, length), stream.read(4)
            if len(stored) == 4 and computed != int.from_bytes(stored, "big"):
                raise OSError(f"damaged: the checksum of a chunk {kind.decode()} is wrong")
    finally:
        stream.seek(0)


def _crc(stream: io.BufferedIOBase, kind: bytes, length: int) -> int:
    """Return the CRC-32 of a chunk's type and data, or of what there is of them."""
    crc = zlib.crc32(kind)
    while length and (piece := stream.read(min(length, _PIECE))):
        crc = zlib.crc32(piece, crc)
        length -= len(piece)
    return crc
