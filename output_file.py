"""Writing results: files and folders that appear whole or not at all, portable JSON.

JSON cannot represent infinity and NaN; they become null.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isinf, isnan
from pathlib import Path
from typing import Any
from uuid import uuid4

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LONGEST_NAME = 255  # bytes of a file name, on all common file systems


class OutputError(OSError):
    """A result that does not fit on its disk, with its path as `filename`."""


def check_output_folder(folder: Path) -> None:
    """Raise, before any work, if results could not be written to a folder.

    Raises:
        ValueError: the path or one of its parents is a file, or is not writable.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise ValueError(f"output {folder} cannot be a folder: {existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"output {folder} cannot be written: no permission in {existing}")


@contextmanager
def replaced_file(target: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to; at the end of the block it replaces `target`.

    The temporary file lies beside `target`, with its suffix. If the process is killed, `target` is
    the old file or the new one, never a part of it. If the block raises, `target` is unchanged and
    the temporary file is removed.

    Args:
        target: the file to write.
        shared: whether several processes may write `target` at the same time, as in a cache; the
            last one replaces it. Of a killed one the temporary file stays, as its name is unique.

    Raises:
        OutputError: the disk is full, or a quota or limit of file sizes is reached.
    """
    partial = target.with_name(_partial_name(target, f"-{uuid4().hex}" if shared else ""))
    try:
        with full_disk_named(target):
            yield partial
            _sync(partial)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(target)


@contextmanager
def full_disk_named(target: Path) -> Iterator[None]:
    """Turn the error of a full disk, which names no file or a temporary one, into an `OutputError`.

    Raises:
        OutputError: the disk is full, or a quota or limit of file sizes is reached.
    """
    try:
        yield
    except Exception as error:
        for reason in (error, error.__context__):  # torch.save hides it behind an error of its own
            if isinstance(reason, OSError) and reason.errno in _NO_SPACE:
                raise OutputError(reason.errno, os.strerror(reason.errno), str(target)) from error
        raise


def _partial_name(target: Path, distinction: str) -> str:
    """Return the name of a temporary file for `target`: as readable as its length allows."""
    end = f"{distinction}.partial{target.suffix}"
    name = f".{target.stem}{end}"
    if len(os.fsencode(name)) <= _LONGEST_NAME:
        return name
    return f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()}{end}"


def write_text_whole(path: Path, text: str) -> None:
    """Write a text file that appears whole or not at all."""
    with replaced_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of the contents of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; at the end of the block it replaces `target`.

    If the process is killed, `target` is the old folder, the new one whole, or missing, never a
    part of either. It is missing only between two renames: the old one is then kept beside it, and
    the next call restores it. If the block raises, `target` is unchanged.

    Raises:
        OutputError: the disk is full, or a quota or limit of file sizes is reached.
    """
    partial, aside = (target.with_name(f".{what}-{target.name}") for what in ("partial", "old"))
    if aside.exists() and not target.exists():
        aside.rename(target)
    for left_over in (partial, aside):
        shutil.rmtree(left_over, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with full_disk_named(target):
            yield partial
            for path in (*partial.iterdir(), partial):
                _sync(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if target.exists():
        target.rename(aside)
    partial.rename(target)
    _sync(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _sync(path: Path) -> None:
    """Wait until a file or folder has been written to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def dumps(value: Any, indent: int | None = 1) -> str:
    """Return JSON text; infinity and NaN, which JSON cannot represent, raise."""
    return json.dumps(value, indent=indent, allow_nan=False)


def finite_numbers(values: Mapping[str, Any], flag_infinite: bool = True) -> dict[str, Any]:
    """Replace infinity and NaN by null, and add `<name>_infinite: true` beside infinity."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        broken = isinstance(value, float) and (isinf(value) or isnan(value))
        plain[name] = None if broken else value
        if broken and isinf(value) and flag_infinite:
            plain[f"{name}_infinite"] = True
    return plain
