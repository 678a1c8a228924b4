"""A lock on an output folder, so that two commands never write to the same one at once.

The lock belongs to a process: the system releases it when the process ends, however it ends, so a
run that was killed can be started again at once.
"""

import fcntl
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

LOCK_FILE = ".lock"
# The system lets a process lock a file twice, and releases both when one of them is closed.
_held: set[Path] = set()


class FolderInUseError(ValueError):
    """An output folder that another command is writing to."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of an output folder, which is made if need be and removed if it stays empty.

    The ranks of one run share the lock: the first one holds it for all. Where a file system has no
    locks, a warning says so.

    Raises:
        FolderInUseError: another process holds the lock; names it.
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    key = folder.resolve()
    if key in _held:
        raise FolderInUseError(_in_use(folder, "another thread of this process"))
    made = _make(folder)
    try:
        file = _locked_file(folder)
        _held.add(key)
        try:
            yield
        finally:
            _held.discard(key)
            # Removed before it is released: whoever opened it meanwhile sees that it is gone.
            (folder / LOCK_FILE).unlink(missing_ok=True)
            file.close()
    finally:
        for empty in made:
            if not any(empty.iterdir()):
                empty.rmdir()


def holds_nothing(folder: Path) -> bool:
    """Return whether a folder is missing or empty, but for its lock."""
    return not folder.exists() or all(path.name == LOCK_FILE for path in folder.iterdir())


def _make(folder: Path) -> list[Path]:
    """Make a folder with its parents; return those that did not exist, innermost first."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


def _locked_file(folder: Path) -> IO[bytes]:
    """Open the lock file of a folder, lock it, and note this process in it."""
    path = folder / LOCK_FILE
    while True:
        file = path.open("ab+", buffering=0)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            holder = file.read().decode(errors="replace").strip()
            file.close()
            raise FolderInUseError(_in_use(folder, holder or "another process")) from error
        except OSError as error:
            log.warning(
                "%s cannot be locked (%s): make sure that no other command writes to it",
                folder,
                error,
            )
            return file
        if _is_open(path, file):
            break
        file.close()  # its last holder removed it between the two calls
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    note = f"process {os.getpid()} on {socket.gethostname()} since {now} ({command})\n"
    with suppress(OSError):  # a full disk; the lock holds without its note
        file.truncate(0)
        file.write(note.encode(errors="replace"))
    return file


def _in_use(folder: Path, holder: str) -> str:
    return (
        f"output folder {folder} is in use by {holder}; wait until it has finished, stop it, "
        "or choose another --output"
    )


def _is_open(path: Path, file: IO[bytes]) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
