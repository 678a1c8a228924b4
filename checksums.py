"""`checksums.json`: the SHA-256 of the files of a folder, compared before they are used.

A changed byte in a weights file would otherwise load, and silently give other results.
"""

import json
from collections.abc import Collection, Iterable
from pathlib import Path

from .output_file import dumps, file_sha256, write_text_whole

CHECKSUMS = "checksums.json"


def write_checksums(folder: Path, files: Iterable[Path]) -> None:
    """Write the checksums of files that lie in a folder."""
    write_text_whole(folder / CHECKSUMS, dumps({file.name: file_sha256(file) for file in files}))


def compare_checksums(folder: Path, required: Collection[str]) -> None:
    """Raise if a file is not the one that was saved; folders without checksums pass.

    Args:
        folder: the folder.
        required: names of files that its checksums must list.

    Raises:
        ValueError: a file was changed or is missing, or the checksums themselves are damaged.
    """
    path = folder / CHECKSUMS
    if not path.exists():
        return
    for name, digest in _read(path, required).items():
        file = folder / name
        if not file.is_file():
            raise ValueError(
                f"{path} lists {name}, which is not in the folder; restore it, or delete "
                f"{CHECKSUMS} if you removed it on purpose"
            )
        if file_sha256(file) != digest:
            raise ValueError(
                f"{file} is not the file that was saved: its SHA-256 is not the one in "
                f"{CHECKSUMS}. One of the two is damaged: restore the folder. If you edited it on "
                f"purpose, delete {CHECKSUMS}; saving again makes a new one"
            )


def _read(path: Path, required: Collection[str]) -> dict[str, str]:
    """Return the digests by file name."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: it is not valid JSON ({error})") from error
    missing = sorted(set(required) - set(stored if isinstance(stored, dict) else ()))
    if missing:
        raise ValueError(f"{path} is damaged: it does not list {', '.join(missing)}")
    for name, digest in stored.items():
        if Path(name).name != name or not isinstance(digest, str):
            raise ValueError(f"{path} is damaged: {name!r} is not a file with its SHA-256")
    return stored
