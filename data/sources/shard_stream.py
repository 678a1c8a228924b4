"""Tar shards that are read from beginning to end, for sources with too many shards to index.

Nothing is known of a shard before it is read, and each member is in memory while it is used. Shards
are opened as all other files are, by fsspec, so that no name runs a command (webdataset's `pipe:`
URLs would), and their headers are read by `tarfile` rather than by webdataset, which would unpack
compressed tars and sparse members of any size into memory, and would end silently at a broken
header. Members and damage are those that the index (`tar_shard.py`) finds.
"""

import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from .candidates import candidate_files
from .keys import without_parents
from .location import Location
from .media import (
    HEAD_BYTES,
    READ_ERRORS,
    BadFile,
    MediaFile,
    MediaKind,
    bad_file,
    bad_lines,
    media_file,
    misnamed,
    reportable,
)
from .storage import open_stored, storage_errors
from .tar_shard import HEADER_ERRORS, TAIL_BYTES, damage_of_tail, is_field, is_hidden

# Members above this size are not read into memory.
MAX_MEMBER_BYTES = 2**30
# Bytes that are read at a time, so that a header cannot demand memory for bytes that do not follow.
PIECE_BYTES = 2**20
# A source has the kinds of media of the first files in the first of these shards with any.
PROBED_SHARDS, PROBED_FILES = 3, 64


@dataclass(frozen=True)
class StreamedMember(Location):
    """One member of a tar that was streamed, with its bytes.

    Attributes:
        tar: path or URL of the tar.
        name: name of the member.
        data: bytes of the member.
    """

    tar: str
    name: str
    data: bytes = field(repr=False)

    def open(self) -> io.BufferedIOBase:
        """Open the bytes of the member."""
        return io.BytesIO(self.data)

    def fields(self) -> dict[str, Any]:
        """Return no fields: the other members of the sample may follow later in the stream."""
        return {}

    def fingerprint(self) -> str:
        """Return the size of the member."""
        return str(len(self.data))

    def __str__(self) -> str:
        return f"{self.tar}!{self.name}"


def list_shards(source: str) -> tuple[tuple[str, ...], tuple[BadFile, ...]]:
    """List the tar shards that a source names, without opening any.

    Returns:
        Paths or URLs of shards, and the files of the source that are none.

    Raises:
        FileNotFoundError: the source does not exist.
        ValueError: the source names no tar shard, or a command to run.
    """
    shards: list[str] = []
    others: list[BadFile] = []
    _refuse_command(source)
    for entry in candidate_files(source):
        if isinstance(entry, BadFile):
            others.append(entry)
            continue
        _refuse_command(entry.name)
        bad = misnamed(entry.name)
        if bad is None and not entry.name.partition("?")[0].lower().endswith(".tar"):
            bad = BadFile(entry.name, "not a tar shard, by its name")
        if bad is None:
            shards.append(entry.name)
        else:
            others.append(bad)
    if not shards:
        raise ValueError(
            f"source {source!r} names no tar shard (*.tar), and only these are streamed; set "
            f"data.shuffle=exact for other sources{bad_lines(others)}"
        )
    return tuple(shards), tuple(others)


def _refuse_command(name: str) -> None:
    """Raise if a name has webdataset's form of a command, also behind the folder of a list."""
    if any(part.lower().startswith("pipe:") for part in name.split("/")):
        raise ValueError(
            f"{reportable(name)!r} is a command, and no source runs commands; give a path or a URL "
            "that fsspec opens, such as s3:// or https://"
        )


def media_kinds(source: str, shards: Sequence[str]) -> frozenset[MediaKind]:
    """Return the kinds of media in a source, judged by the first files of its first shard.

    Raises:
        ValueError: the first shards contain no image and no video.
    """
    bad: list[BadFile] = []
    for shard in shards[:PROBED_SHARDS]:
        files: list[MediaFile] = []
        for entry in islice(read_shard(shard), PROBED_FILES):
            if isinstance(entry, BadFile):
                bad.append(entry)
            else:
                files.append(entry)
        if files:
            kinds: tuple[MediaKind, ...] = ("image", "video")
            return frozenset(kind for kind in kinds if any(file.serves(kind) for file in files))
    count = min(PROBED_SHARDS, len(shards))
    raise ValueError(
        f"source {source!r} has no image or video in its first {count} shard(s); data.shuffle="
        f"stream judges a source by them{bad_lines(bad)}"
    )


def read_shard(shard: str) -> Iterator[MediaFile | BadFile]:
    """Yield the images and videos of a tar in its order, and what is bad in it.

    Members that are neither are passed over. Damage ends the shard, with a report.
    """
    try:
        with open_stored(shard) as stored:
            yield from _read_members(shard, _ForwardFile(shard, stored))
    except (tarfile.TarError, *READ_ERRORS, *HEADER_ERRORS) as error:
        yield bad_file(shard, error)


def _read_members(shard: str, file: "_ForwardFile") -> Iterator[MediaFile | BadFile]:
    """Yield the images, videos and bad members of a tar.

    Raises:
        ReadError: the tar is damaged.
    """
    tar: Any = file  # `tarfile` calls read, seek and tell, but its annotation demands more
    with tarfile.open(fileobj=tar, mode="r:") as archive:
        for member in archive:
            # `tarfile` may go back, and read the same members again and again
            if member.size < 0 or archive.offset <= member.offset:
                raise tarfile.ReadError(f"impossible size of {reportable(member.name)}")
            is_file = member.isreg() and not member.issparse()
            if is_file and not is_hidden(member.name) and not is_field(member.name):
                entry = _read_member(shard, file, member)
                if entry is not None:
                    yield entry
        tail = file.last_read + file.read(TAIL_BYTES)
        lost = f"members behind byte {archive.offset} may be lost"
        if damage := damage_of_tail(tail, archive.offset, lost):
            raise tarfile.ReadError(damage)


def _read_member(
    shard: str, file: "_ForwardFile", member: tarfile.TarInfo
) -> MediaFile | BadFile | None:
    """Read one member; None if it is neither an image nor a video.

    Raises:
        ReadError: the tar ends before the member does.
    """
    end, too_large = member.offset_data + member.size, member.size > MAX_MEMBER_BYTES
    file.seek(end if too_large else member.offset_data)
    data = b"" if too_large else file.read(member.size)
    if file.tell() < end:
        raise tarfile.ReadError(f"truncated inside {reportable(member.name)}")
    location = StreamedMember(shard, member.name, data)
    if bad := misnamed(str(location)):
        return bad
    if too_large:
        reason = f"larger than {MAX_MEMBER_BYTES} bytes, the maximum of streamed members"
        return BadFile(str(location), reason, "ValueError")
    stem = shard.partition("?")[0].rpartition("/")[2].removesuffix(".tar")
    name = without_parents(f"{stem}/{member.name}")
    found = media_file(name, location, data[:HEAD_BYTES])
    return found if isinstance(found, MediaFile) else None


class _ForwardFile:
    """A file that is read forward only, as a server without range requests sends it.

    Args:
        name: path or URL.
        file: the opened file.

    Attributes:
        last_read: result of the latest read.
    """

    def __init__(self, name: str, file: io.BufferedIOBase) -> None:
        self.name, self.last_read = name, b""
        self._file, self._position = file, 0

    def tell(self) -> int:
        """Return the number of bytes read or passed over."""
        return self._position

    def seek(self, position: int) -> None:
        """Pass over the bytes before a position, or over the rest of a shorter file."""
        if position < self._position:
            raise ValueError(f"{self.name}: a header points back to byte {position}")
        while self._position < position:
            if not self._read_piece(position - self._position):
                return

    def read(self, size: int) -> bytes:
        """Read bytes, fewer only at the end of the file."""
        if not 0 <= size <= MAX_MEMBER_BYTES:
            raise ValueError(f"{self.name}: a header demands to read {size} bytes at once")
        pieces: list[bytes] = []
        while size > 0 and (piece := self._read_piece(size)):
            pieces.append(piece)
            size -= len(piece)
        self.last_read = b"".join(pieces)
        return self.last_read

    def _read_piece(self, size: int) -> bytes:
        with storage_errors(self.name):
            piece = self._file.read(min(size, PIECE_BYTES))
        self._position += len(piece)
        return piece
