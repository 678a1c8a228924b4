"""Media files: what a source lists, told apart by content rather than by name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .location import Location, StoredFile

MediaKind = Literal["image", "video"]
HEAD_BYTES = 2048

# What reading a file may raise; anything else is our own mistake.
READ_ERRORS = (OSError, ValueError, MemoryError)

# First bytes, and the offset where they stand.
_SIGNATURES: tuple[tuple[int, bytes, MediaKind], ...] = (
    (0, b"\xff\xd8\xff", "image"),  # JPEG
    (0, b"\x89PNG\r\n\x1a\n", "image"),
    (0, b"GIF87a", "image"),
    (0, b"GIF89a", "image"),
    (0, b"BM", "image"),
    (0, b"II*\x00", "image"),  # TIFF
    (0, b"MM\x00*", "image"),
    (0, b"II+\x00", "image"),  # BigTIFF
    (0, b"MM\x00+", "image"),
    (0, b"\x00\x00\x00\x0cjP  ", "image"),  # JPEG 2000
    (0, b"\xff\x4f\xff\x51", "image"),  # JPEG 2000 without a container
    (0, b"P1", "image"),
    (0, b"P2", "image"),
    (0, b"P3", "image"),
    (0, b"P4", "image"),
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
    (4, b"skip", "video"),
    (0, b"\x1a\x45\xdf\xa3", "video"),  # Matroska, WebM
    (8, b"AVI ", "video"),
    (0, b"FLV", "video"),
    (0, b"OggS", "video"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "video"),  # ASF, WMV
    (0, b"DKIF", "video"),  # IVF
    (0, b"YUV4MPEG2", "video"),
    (0, b"\x00\x00\x01\xba", "video"),  # MPEG-PS
    (0, b"\x00\x00\x01\xb3", "video"),
    (0, b"\x00\x00\x00\x01\x67", "video"),  # H.264 without a container
    (0, b"\x00\x00\x00\x01\x40", "video"),  # HEVC without a container
)


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One image or video of a source.

    Attributes:
        key: its name inside the source, unique, with `/` and without extension.
        location: where its bytes lie; what the reading functions take.
        kind: image or video.
        animated: whether it is an image with several frames (GIF, WebP, PNG, AVIF): sources of
            images take its first frame, sources of videos all of them.
    """

    key: str
    location: Location
    kind: MediaKind
    animated: bool = False

    @property
    def path(self) -> str:
        """The location in words: a path, a URL, `shard.tar!member.jpg` or `table.parquet!row`."""
        return str(self.location)

    def serves(self, kind: MediaKind) -> bool:
        """Whether it can be read as an image, or as a video."""
        return self.kind == kind or self.animated

    def fields(self) -> dict[str, Any]:
        """Labels, captions and other columns that the source holds beside it."""
        return self.location.fields()


@dataclass(frozen=True)
class BadFile:
    """A file that could not be used, and why."""

    path: str
    reason: str
    exception: str = ""


def bad_file(path: str, error: BaseException) -> BadFile:
    """The report of an exception, under the class of its cause where a library raised it."""
    reason = str(error).removeprefix(f"{path}: ")
    return BadFile(path, reason, type(error.__cause__ or error).__name__)


def media_file(path: Path | str) -> MediaFile:
    """A single file as a source would list it.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no image and no video.
    """
    location = StoredFile(str(path))
    with location.open() as stream:
        head = stream.read(HEAD_BYTES)
    kind = media_kind(head)
    if kind is None:
        raise ValueError(f"{path}: {no_media_reason(head)}")
    return MediaFile(Path(path).stem, location, kind, is_animated(head))


def media_kind(head: bytes) -> MediaKind | None:
    """The kind of a file that starts with these bytes, or None when it is neither."""
    for offset, signature, kind in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return kind
    for start, packet in ((0, 188), (4, 192)):  # MPEG-TS, M2TS: a sync byte every packet
        if head[start : start + 1] == b"G" and head[start + packet : start + packet + 1] == b"G":
            return "video"
    return None


def is_animated(head: bytes) -> bool:
    """Whether an image that starts with these bytes announces several frames."""
    if head[:3] == b"GIF":
        return b"NETSCAPE2.0" in head or b"ANIMEXTS1.0" in head
    if head[:4] == b"\x89PNG":
        return b"acTL" in head.partition(b"IDAT")[0]
    if head[8:16] == b"WEBPVP8X":
        return bool(head[20] & 0b10)
    return head[4:12] == b"ftypavis"


def no_media_reason(head: bytes) -> str:
    """Why a file with these first bytes is passed over."""
    if head.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, not the file itself; run `git lfs pull`"
    return "no image or video by its first bytes" if head else "empty file"
