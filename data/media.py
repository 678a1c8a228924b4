"""Media files: what a source lists, told apart by content rather than by name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MediaKind = Literal["image", "video"]
HEAD_BYTES = 192

# First bytes, and the offset where they stand.
_SIGNATURES: tuple[tuple[int, bytes, MediaKind], ...] = (
    (0, b"\xff\xd8\xff", "image"),  # JPEG
    (0, b"\x89PNG\r\n\x1a\n", "image"),
    (0, b"GIF87a", "image"),
    (0, b"GIF89a", "image"),
    (0, b"BM", "image"),
    (0, b"II*\x00", "image"),  # TIFF
    (0, b"MM\x00*", "image"),
    (0, b"\x00\x00\x00\x0cjP  ", "image"),  # JPEG 2000
    (0, b"P5", "image"),
    (0, b"P6", "image"),
    (8, b"WEBP", "image"),
    (4, b"ftypavif", "image"),
    (4, b"ftypavis", "image"),
    (4, b"ftypheic", "image"),
    (4, b"ftypmif1", "image"),
    (4, b"ftyp", "video"),  # MP4, MOV
    (4, b"moov", "video"),
    (4, b"mdat", "video"),
    (4, b"wide", "video"),
    (4, b"free", "video"),
    (0, b"\x1a\x45\xdf\xa3", "video"),  # Matroska, WebM
    (8, b"AVI ", "video"),
    (0, b"FLV", "video"),
    (0, b"OggS", "video"),
    (0, b"\x00\x00\x01\xba", "video"),  # MPEG-PS
    (0, b"\x00\x00\x01\xb3", "video"),
)


@dataclass(frozen=True)
class MediaFile:
    """One image or video of a source.

    Attributes:
        key: its name inside the source, unique, with `/` and without extension.
        path: where it lies.
        kind: image or video.
    """

    key: str
    path: Path
    kind: MediaKind


@dataclass(frozen=True)
class BadFile:
    """A file that could not be used, and why."""

    path: str
    reason: str
    exception: str = ""


def media_kind(head: bytes) -> MediaKind | None:
    """The kind of a file that starts with these bytes, or None when it is neither."""
    for offset, signature, kind in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return kind
    if head[:1] == b"G" and head[188:189] == b"G":  # MPEG-TS: a sync byte every 188 bytes
        return "video"
    return None
