"""Writing results: folders that can take them, and files that appear whole or not at all."""

import os
from pathlib import Path


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
    """Write a text file under another name and rename it, so that a kill leaves no half of it."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
