"""Writing results: folders that take them, files that appear whole or not at all, portable JSON.

JSON cannot represent infinity and NaN; they become null.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isinf, isnan
from pathlib import Path
from typing import Any


def check_output_folder(folder: Path) -> None:
    """Raise, before any work, where results could not be written.

    Raises:
        ValueError: the path or one of its parents is a file, or cannot be written to.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise ValueError(f"output {folder} cannot be a folder: {existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"output {folder} cannot be written: no permission in {existing}")


def write_text_whole(path: Path, text: str) -> None:
    """Write a text file under another name and rename it, so that a kill leaves no partial file."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; at the end of the block it takes the place of `target`.

    A kill leaves the old folder, none, or the complete new one, never a part of it. There is none
    only between two renames: the old one is then set aside, and the next call restores it.
    """
    partial, aside = (target.with_name(f".{what}-{target.name}") for what in ("partial", "old"))
    if aside.exists() and not target.exists():
        aside.rename(target)
    for left_over in (partial, aside):
        shutil.rmtree(left_over, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    for path in (*partial.iterdir(), partial):
        _sync(path)
    if target.exists():
        target.rename(aside)
    partial.rename(target)
    _sync(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _sync(path: Path) -> None:
    """Wait until a file or folder has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def dumps(value: Any, indent: int | None = 1) -> str:
    """Write JSON, refusing infinity and NaN, which `finite_numbers` replaces."""
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
