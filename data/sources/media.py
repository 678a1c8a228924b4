"""Media files: images and videos of a source, recognized by content rather than by name."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from .location import Location

MediaKind = Literal["image", "video"]
HEAD_BYTES = 2048

# Exceptions of reading a file; any other is a bug of ours.
READ_ERRORS = (OSError, ValueError, MemoryError)

# A share of bad files is accepted up to this number at least, however small the set.
MIN_BAD_FILES = 10

# Bad files that a message names; it counts the others.
NAMED_FILES = 5

# Characters of a name or reason that reports show; Linux allows 4096 bytes in a path.
MAX_REPORTED = 2048

# Offset of a signature, its bytes, and the kind of the file.
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
        key: unique name inside the source, with `/` and without extension.
        location: location of its bytes, which the reading functions accept.
        kind: image or video.
        animated: whether it is an image with several frames (GIF, WebP, PNG, AVIF): its first
            frame is used as an image, all frames as a video.
    """

    key: str
    location: Location
    kind: MediaKind
    animated: bool = False

    @property
    def path(self) -> str:
        """The location as text: a path, a URL, `shard.tar!member.jpg` or `table.parquet!row`."""
        return str(self.location)

    def serves(self, kind: MediaKind) -> bool:
        """Return whether it can be read as an image, or as a video."""
        return self.kind == kind or self.animated

    def fields(self) -> dict[str, Any]:
        """Return the labels, captions and other columns that the source records."""
        return self.location.fields()


@dataclass(frozen=True)
class BadFile:
    """A file that could not be used, with the reason."""

    path: str
    reason: str
    exception: str = ""


def bad_file(path: str, error: BaseException) -> BadFile:
    """Report an exception, with the class of its cause if a library raised it."""
    reason = str(error).removeprefix(f"{path}: ")
    if reason == path and error.__cause__:  # fsspec's error of a missing URL is the URL alone
        reason = str(error.__cause__)
    return BadFile(path, reason or type(error).__name__, type(error.__cause__ or error).__name__)


def bad_lines(bad: Collection[BadFile]) -> str:
    """Return lines that end a message with the first bad files; nothing if there are none."""
    lines = [f"\n  {file.path}: {file.reason}" for file in islice(bad, NAMED_FILES)]
    more = len(bad) - len(lines)
    return "".join(lines) + (f"\n  and {more} more" if more else "")


def printable(text: str) -> str:
    """Escape what is not valid UTF-8 in the name of a file; reports and terminals refuse it."""
    return text.encode(errors="backslashreplace").decode()


def reportable(text: str) -> str:
    """Return printable text, of which only the beginning if no file could have such a name."""
    text = printable(text)
    return text if len(text) <= MAX_REPORTED else f"{text[:MAX_REPORTED]}…"


def misnamed(name: str) -> BadFile | None:
    """Return a bad file if a name is not valid UTF-8, which reports cannot contain."""
    if printable(name) == name:
        return None
    reason = "its name is not valid UTF-8; rename the file"
    return BadFile(reportable(name), reason, "UnicodeEncodeError")


def media_file(key: str, location: Location, head: bytes) -> MediaFile | BadFile:
    """Return the image or video that starts with these bytes, or the reason why it is neither."""
    kind = media_kind(head)
    if kind is None:
        return BadFile(str(location), skip_reason(head))
    return MediaFile(key, location, kind, animated=kind == "image" and is_animated(head))


def bad_limit(max_bad: float, num_files: int) -> int:
    """Return the accepted number of bad files: below 1 a share (at least 10), else a number."""
    if max_bad >= 1 or max_bad == 0:
        return int(max_bad)
    return max(MIN_BAD_FILES, int(max_bad * num_files))


def media_kind(head: bytes) -> MediaKind | None:
    """Return the kind of a file that starts with these bytes, or None if it is neither."""
    for offset, signature, kind in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return kind
    for start, packet in ((0, 188), (4, 192)):  # MPEG-TS, M2TS: a sync byte every packet
        if head[start : start + 1] == b"G" and head[start + packet : start + packet + 1] == b"G":
            return "video"
    return None


def is_animated(head: bytes) -> bool:
    """Return whether an image that starts with these bytes declares several frames."""
    if head[:3] == b"GIF":
        return b"NETSCAPE2.0" in head or b"ANIMEXTS1.0" in head
    if head[:4] == b"\x89PNG":
        return b"acTL" in head.partition(b"IDAT")[0]
    if head[8:16] == b"WEBPVP8X":
        return bool(head[20] & 0b10)
    return head[4:12] == b"ftypavis"


def skip_reason(head: bytes) -> str:
    """Return the reason why a file with these first bytes is skipped."""
    if head.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, not the file itself; run `git lfs pull`"
    return "not an image or video, by its first bytes" if head else "empty file"
