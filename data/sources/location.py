"""Locations of the bytes of one image or clip, with the metadata that its source records.

A location can be opened by itself, in any process and in any order; this makes the order of
training data a pure function of the position. Laws, tested for every kind of location:

    opening twice gives two independent, seekable streams with the same bytes
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
    """The location of the bytes of a file."""

    @abstractmethod
    def open(self) -> io.BufferedIOBase:
        """Open the bytes as a seekable stream, which the caller closes."""

    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """Return the labels, captions and other columns that the source records."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a short text that changes with the bytes, as far as that is cheap to know."""

    @abstractmethod
    def __str__(self) -> str: ...


@dataclass(frozen=True)
class StoredFile(Location):
    """A whole file, local or remote.

    Attributes:
        name: path or URL.
        columns: further columns of the list that names the file.
    """

    name: str
    columns: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def open(self) -> io.BufferedIOBase:
        """Open the whole file for reading."""
        return open_stored(self.name)

    def fields(self) -> dict[str, Any]:
        """Return the other columns of the list."""
        return dict(self.columns)

    def fingerprint(self) -> str:
        """Return the size in bytes."""
        return str(stored_size(self.name))

    def __str__(self) -> str:
        return self.name


class FileSlice(io.RawIOBase):
    """A slice of a file, which can be read like a file."""

    def __init__(self, file: io.BufferedIOBase, offset: int, size: int) -> None:
        super().__init__()
        self._file, self._offset, self._size = file, offset, size
        self._position = 0

    def readable(self) -> bool:
        """Return True: it can be read."""
        return True

    def seekable(self) -> bool:
        """Return True: it can seek."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move inside the slice; as in files, nothing is read beyond its end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer up to the end of the slice."""
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._position))
        self._file.seek(self._offset + self._position)
        data = self._file.read(wanted)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Close the slice and the file below it."""
        if not self.closed:
            self._file.close()
        super().close()


def as_location(source: Location | Path | str) -> Location:
    """Return the location of a path or URL; a location is returned unchanged."""
    return source if isinstance(source, Location) else StoredFile(str(source))


def local_path(location: Location) -> str | None:
    """Return the path of a whole local file, which libraries read faster than a stream, or None."""
    if isinstance(location, StoredFile) and not is_remote(location.name):
        return location.name
    return None
