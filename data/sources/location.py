"""Locations: where the bytes of one image or clip lie, and what its source says about it.

A location opens its bytes by itself, in any process and in any order; that is what makes the order
of training data a pure function of the position. Laws, tested for every kind of location:

    opening twice gives two independent streams with the same bytes, which can seek
    a location survives pickling
    equal locations open equal bytes
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .storage import is_remote, open_stored, stored_size


class Location(ABC):
    """Where bytes lie."""

    @abstractmethod
    def open(self) -> io.BufferedIOBase:
        """The bytes as a stream that can seek; the caller closes it."""

    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """Labels, captions and other columns that the source records beside the bytes."""

    @abstractmethod
    def stamp(self) -> str:
        """A short text that changes with the bytes, as far as that is cheap to know."""

    @abstractmethod
    def __str__(self) -> str: ...


@dataclass(frozen=True)
class StoredFile(Location):
    """A whole file, local or remote.

    Attributes:
        name: path or URL.
        columns: what the list that named the file says about it.
    """

    name: str
    columns: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def open(self) -> io.BufferedIOBase:
        """The whole file."""
        return open_stored(self.name)

    def fields(self) -> dict[str, Any]:
        """The other columns of the list."""
        return dict(self.columns)

    def stamp(self) -> str:
        """The size in bytes."""
        return str(stored_size(self.name))

    def __str__(self) -> str:
        return self.name


class FileSlice(io.RawIOBase):
    """A window of a file, read as if it were a file of its own."""

    def __init__(self, file: io.BufferedIOBase, offset: int, size: int) -> None:
        super().__init__()
        self._file, self._offset, self._size = file, offset, size
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move inside the window; as in files, beyond its end nothing is read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the window goes."""
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._position))
        self._file.seek(self._offset + self._position)
        data = self._file.read(wanted)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file as well."""
        if not self.closed:
            self._file.close()
        super().close()


def as_location(source: Location | Path | str) -> Location:
    """The location that a path or URL names; a location is itself."""
    return source if isinstance(source, Location) else StoredFile(str(source))


def local_path(location: Location) -> str | None:
    """The path of a whole local file, which libraries open faster than a Python stream."""
    if isinstance(location, StoredFile) and not is_remote(location.name):
        return location.name
    return None
