"""`checksums.json`: the SHA-256 of a saved model's config and weights, compared at loading.

A changed byte in a weights file would otherwise load, and silently give other tokens.
"""

import json
from pathlib import Path

from ..output_file import dumps, file_sha256, write_text_whole

CHECKSUMS = "checksums.json"
CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model"  # in one file, in several with an index, or of a variant


def write_checksums(folder: Path) -> None:
    """Write the checksums of the config and of all weights files in a folder."""
    files = [folder / CONFIG, *sorted(folder.glob(f"{WEIGHTS}*"))]
    write_text_whole(folder / CHECKSUMS, dumps({file.name: file_sha256(file) for file in files}))


def compare_checksums(folder: Path) -> None:
    """Raise if a file is not the one that was saved; folders without checksums pass.

    Raises:
        ValueError: a file was changed or is missing, or the checksums themselves are damaged.
    """
    path = folder / CHECKSUMS
    if not path.exists():
        return
    for name, digest in _read(path).items():
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
                f"purpose, delete {CHECKSUMS}; saving the tokenizer again makes a new one"
            )


def _read(path: Path) -> dict[str, str]:
    """Return the digests by file name."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: it is not valid JSON ({error})") from error
    if not isinstance(stored, dict) or CONFIG not in stored:
        raise ValueError(f"{path} is damaged: it does not list {CONFIG}")
    for name, digest in stored.items():
        if Path(name).name != name or not isinstance(digest, str):
            raise ValueError(f"{path} is damaged: {name!r} is not a file with its SHA-256")
    return stored
