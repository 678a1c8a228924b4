"""Storage: the same few functions for local paths and for URLs of any file system of fsspec.

Local files are opened directly; `s3://`, `gs://`, `hf://`, `https://`, `memory://` and others go
through fsspec, including caching wrappers such as `simplecache::https://...`.
"""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.cached import CachingFileSystem

HEADS_AT_ONCE = 256


def is_remote(name: str) -> bool:
    """Return whether a name is a URL."""
    return "://" in name


def open_stored(name: str) -> io.BufferedIOBase:
    """Open a local or remote file for reading.

    Raises:
        OSError: the file is missing or cannot be reached.
    """
    if not is_remote(name):
        return _open_local(name)
    with storage_errors(name):
        system, path = url_to_fs(name)
        file: Any = system.open(path, "rb")
        # The file system in memory returns the same object to all who open a file
        shared = isinstance(file, io.BytesIO)
        return io.BytesIO(file.getvalue()) if shared else io.BufferedReader(file)


def stored_size(name: str) -> int:
    """Return the size of a file in bytes."""
    if not is_remote(name):
        return os.stat(name).st_size
    with storage_errors(name):
        system, path = url_to_fs(name)
        return system.size(path)


def stored_version(name: str) -> str:
    """Return file system metadata that changes with the file: size, times, tags."""
    if not is_remote(name):
        status = os.stat(name)
        return f"{status.st_size} {status.st_mtime_ns}"
    with storage_errors(name):
        system, path = url_to_fs(name)
        found = system.info(path)
    keys = ("size", "mtime", "modified", "created", "LastModified", "updated", "ETag", "etag")
    return " ".join(f"{key}={found[key]}" for key in keys if key in found)


def read_range(name: str, start: int, stop: int) -> bytes:
    """Read a part of a file; of a remote file, in one request.

    Raises:
        OSError: the file is missing or shorter, or its server ignores ranges.
    """
    if is_remote(name):
        with storage_errors(name):
            system, path = url_to_fs(name)
            data = system.cat_file(path, start=start, end=stop)
    else:
        with _open_local(name) as file:
            file.seek(start)
            data = file.read(stop - start)
    if len(data) != stop - start:
        raise OSError(
            f"{name}: requested bytes {start} to {stop}, got {len(data)} bytes; the file is "
            "truncated, or its server does not support range requests"
        )
    return data


def read_heads(names: Sequence[str], size: int) -> Iterator[bytes | Exception]:
    """Yield the first bytes of files, or the error; remote files are requested together."""
    iterator = iter(names)
    while names := list(islice(iterator, HEADS_AT_ONCE)):
        remote = [name for name in names if is_remote(name)]
        answers = _remote_heads(remote, size)
        for name in names:
            yield answers[name] if name in answers else _local_head(name, size)


def _open_local(name: str) -> io.BufferedReader:
    """Open a local file; a FIFO or a device, which may block or never end, is refused.

    Raises:
        OSError: the file is missing or is not a regular file.
        ValueError: the name contains a NUL.
    """
    if not S_ISREG(os.stat(name).st_mode):
        raise OSError(f"{name}: not a regular file")
    return Path(name).open("rb")


def _local_head(name: str, size: int) -> bytes | Exception:
    try:
        with _open_local(name) as file:
            return file.read(size)
    except (OSError, ValueError) as error:
        return error


def _remote_heads(names: Sequence[str], size: int) -> dict[str, bytes | Exception]:
    """Request the first bytes of URLs, together for those of one file system without a cache."""
    heads: dict[str, bytes | Exception] = {}
    groups: dict[int, list[tuple[str, str]]] = {}
    systems: dict[int, AbstractFileSystem] = {}
    for name in dict.fromkeys(names):
        try:
            with storage_errors(name):
                system, path = url_to_fs(name)
        except (OSError, ValueError) as error:
            heads[name] = error
            continue
        if isinstance(system, CachingFileSystem):
            # Of files that it downloads together, one that fails makes the others look downloaded
            # while they are still empty; opened one by one, each is complete or fails.
            heads[name] = _cached_head(name, size)
            continue
        systems[id(system)] = system
        groups.setdefault(id(system), []).append((name, path))
    for key, group in groups.items():
        heads |= _heads_of_system(systems[key], group, size)
    return heads


def _cached_head(name: str, size: int) -> bytes | Exception:
    """Read the first bytes of a URL whose file system keeps copies of whole files."""
    try:
        with storage_errors(name), open_stored(name) as file:
            return file.read(size)
    except (OSError, ValueError) as error:
        return error


def _heads_of_system(
    system: AbstractFileSystem, group: Sequence[tuple[str, str]], size: int
) -> dict[str, bytes | Exception]:
    """Request the first bytes of (name, path) pairs, one by one if requesting all of them fails."""
    paths = [path for _, path in group]
    try:
        with storage_errors(group[0][0]):
            answers: list[Any] = system.cat_ranges(
                paths, [0] * len(paths), [size] * len(paths), on_error="return"
            )
    except (OSError, ValueError) as error:
        if len(group) == 1:
            return {group[0][0]: error}
        return {
            name: head
            for pair in group
            for name, head in _heads_of_system(system, [pair], size).items()
        }
    # A server that ignores ranges returns the whole file.
    return {
        name: answer if isinstance(answer, Exception) else bytes(answer[:size])
        for (name, _), answer in zip(group, answers, strict=True)
    }


@contextmanager
def storage_errors(name: str) -> Iterator[None]:
    """Turn the exceptions of a storage back end into OSError with the name of the file."""
    try:
        yield
    except (OSError, ValueError):
        raise
    # Each back end has its own exceptions (aiohttp, botocore, ...), none of which is imported here
    except Exception as error:
        raise OSError(f"{name}: {type(error).__name__}: {error}") from error
