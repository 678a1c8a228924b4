"""WebDataset tars: an index of the members, so that each can be read alone and in any order.

Only headers and first bytes are read to build the index. Members whose names are equal up to the
first dot form one sample (the WebDataset convention): images and clips are recognized by content;
of the others, `.json` (an object), `.txt` and `.cls` are read as fields on request. Nothing is ever
unpickled.
"""

import errno
import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any

from .location import FileSlice, Location
from .media import HEAD_BYTES
from .storage import is_remote, open_stored, read_range

FIELD_SUFFIXES = ("json", "txt", "cls")
# Remote members up to this size are fetched in one request; larger ones are read in pieces.
WHOLE_BYTES = 64 * 2**20
# A tar ends with two blocks of zeros, which writers pad with zeros.
END_BYTES = 2 * tarfile.BLOCKSIZE
# Bytes behind the last member that are compared with zero.
TAIL_BYTES = 2**20
# Exceptions of reading, seeking or nesting as far as damaged headers demand.
HEADER_ERRORS = (ValueError, OverflowError, MemoryError, RecursionError, OSError)


@dataclass(frozen=True, slots=True)
class Span:
    """The name of a member of a tar, and the range of its bytes."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class TarMember(Location):
    """One member of a WebDataset tar.

    Attributes:
        tar: path or URL of the tar.
        span: name and byte range of the member.
        beside: members of the same sample that contain fields.
    """

    tar: str
    span: Span
    beside: tuple[Span, ...] = ()

    def open(self) -> io.BufferedIOBase:
        """Open the bytes of the member."""
        if is_remote(self.tar) and self.span.size <= WHOLE_BYTES:
            return io.BytesIO(self._read(self.span))
        window = FileSlice(open_stored(self.tar), self.span.offset, self.span.size)
        return io.BufferedReader(window)

    def fields(self) -> dict[str, Any]:
        """Read the `.json`, `.txt` and `.cls` members; the keys of JSON objects are fields."""
        found: dict[str, Any] = {}
        for span in self.beside:
            suffix = span.name.rpartition(".")[2]
            text = self._read(span).decode("utf-8", errors="replace")
            if suffix == "json":
                value = json.loads(text)
                found |= value if isinstance(value, dict) else {"json": value}
            else:
                found[suffix] = text.strip()
        return found

    def fingerprint(self) -> str:
        """Return the offset and the size of the member."""
        return f"{self.span.offset}+{self.span.size}"

    def __str__(self) -> str:
        return f"{self.tar}!{self.span.name}"

    def _read(self, span: Span) -> bytes:
        return read_range(self.tar, span.offset, span.offset + span.size)


@dataclass(frozen=True)
class TarIndex:
    """The members of a tar that may be media.

    Attributes:
        members: members in the order of the tar, each with its first bytes.
        damage: description of damage after the last member, or None.
    """

    members: tuple[tuple[TarMember, bytes], ...]
    damage: str | None


def index_tar(tar: str) -> TarIndex:
    """Read the headers of all members of a tar.

    Raises:
        OSError: the file cannot be opened or is not a tar.
    """
    with open_stored(tar) as file:
        heads, damage = _read_members(tar, file)
    samples: dict[str, list[Span]] = {}
    for span in heads:
        if is_field(span.name):
            samples.setdefault(sample_key(span.name), []).append(span)
    members = [
        (TarMember(tar, span, tuple(samples.get(sample_key(span.name), ()))), head)
        for span, head in heads.items()
        if not is_field(span.name)
    ]
    return TarIndex(tuple(members), damage)


def _read_members(tar: str, file: io.BufferedIOBase) -> tuple[dict[Span, bytes], str | None]:
    """Read the members of a tar with their first bytes, and describe damage after the last one.

    Raises:
        OSError: the file is not a tar, or its first header is damaged.
    """
    heads: dict[Span, bytes] = {}
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                # `tarfile` may go back, and read the same members again and again
                if member.size < 0 or archive.offset <= member.offset:
                    return heads, f"impossible size of {member.name}"
                if member.offset_data + member.size > end:
                    return heads, f"truncated inside {member.name}"
                if member.isreg() and not member.issparse() and not is_hidden(member.name):
                    file.seek(member.offset_data)
                    span = Span(member.name, member.offset_data, member.size)
                    heads[span] = file.read(min(member.size, HEAD_BYTES))
            stop = archive.offset
    except (tarfile.TarError, *HEADER_ERRORS) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise  # of the storage
        reason = f"{type(error).__name__}: {error}"
        if not heads:
            raise OSError(f"{tar}: {reason}") from error
        return heads, reason
    return heads, _damage_at_end(file, stop, end)


def _damage_at_end(file: io.BufferedIOBase, stop: int, end: int) -> str | None:
    """Return None if the tar ends at `stop` with zeros up to the end of the file, as it must."""
    file.seek(stop)
    tail = file.read(min(end - stop, TAIL_BYTES))
    return damage_of_tail(tail, stop, f"members behind byte {stop} of {end} may be lost")


def damage_of_tail(tail: bytes, stop: int, lost: str) -> str | None:
    """Return None if a tar ends with these bytes, which follow its last member, else the damage.

    `tarfile` takes a broken header for the end of the tar, and so would lose all members behind it.

    Args:
        tail: bytes from the end of the last member on.
        stop: position of the tail.
        lost: description of the possible loss.
    """
    if len(tail) < END_BYTES:
        return f"ends without the end of a tar, {END_BYTES} zero bytes; {lost}"
    if any(tail[:END_BYTES]):
        return f"damaged header at byte {stop}; {lost}"
    if any(tail):
        return f"the end of a tar is followed by other bytes; {lost}"
    return None


def sample_key(name: str) -> str:
    """Return the name of a member up to the first dot of its last part."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def is_field(name: str) -> bool:
    """Return whether a member of this name contains fields of its sample, not media."""
    return name.rpartition(".")[2].lower() in FIELD_SUFFIXES


def is_hidden(name: str) -> bool:
    """Return whether a part of a member's name starts with a dot."""
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))
