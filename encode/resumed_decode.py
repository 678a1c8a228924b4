"""Resuming a decode: a note in the output folder tells its own files from those of others."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..output_file import write_text_whole

log = logging.getLogger(__name__)

NOTE = ".unfinished-decode"


@contextmanager
def missing_targets(output: Path, targets: Sequence[Path], inputs: object) -> Iterator[set[Path]]:
    """Yield the files that are still to be written; when all are, the folder holds nothing else.

    If the block raises or the process is killed, a note stays in the folder, by which the next call
    with the same inputs and targets recognizes the files that are there as its own.

    Args:
        output: folder of the files.
        targets: files to write, each of which appears whole or not at all.
        inputs: JSON value that determines the contents of the files.

    Raises:
        ValueError: a target exists that was not written by an interrupted call with these inputs.
    """
    note = output / NOTE
    identity = json.dumps([inputs, [str(path.relative_to(output)) for path in targets]])
    text = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest() + "\n"
    resuming = note.exists() and note.read_bytes() == text.encode()
    existing = [path for path in targets if path.exists()]
    if existing and not resuming:
        raise ValueError(f"{existing[0]} exists already; choose another --output")
    if existing:
        log.info("resuming: %d of %d file(s) are there already", len(existing), len(targets))
    output.mkdir(parents=True, exist_ok=True)
    write_text_whole(note, text)
    yield set(targets) - set(existing)
    note.unlink()
