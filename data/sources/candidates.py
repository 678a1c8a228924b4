"""Candidates: the files that a folder, pattern, list or URL names, before any of them is opened."""

import re
from glob import glob, has_magic
from itertools import islice
from pathlib import Path

from braceexpand import braceexpand
from fsspec.core import url_to_fs

from .bundled import bundled_files, is_bundled
from .entry_limit import check_entries, max_entries
from .file_list import is_list, read_list
from .location import StoredFile
from .media import BadFile
from .storage import is_remote, storage_errors

_BRACE_RANGE = re.compile(r"\{(-?\d+)\.\.(-?\d+)(?:\.\.-?(\d+))?\}")


def candidate_files(source: str) -> list[StoredFile | BadFile]:
    """List the files that a source names, and the entries of a list that name none.

    Raises:
        FileNotFoundError: the source does not exist.
        ValueError: the source is empty, or its brace pattern has too many names.
    """
    if not source.strip():
        raise ValueError(
            "the source is empty; give a folder, a glob, a file or a list of paths "
            "(`.` is the current folder)"
        )
    if is_bundled(source):
        return [StoredFile(str(path)) for path in bundled_files(source)[1]]
    expanded = _expand_braces(source) if "{" in source and not _exists(source) else [source]
    if len(expanded) > 1:
        return [file for part in expanded for file in candidate_files(part)]
    return _remote_candidates(source) if is_remote(source) else _local_candidates(source)


def _expand_braces(pattern: str) -> list[str]:
    """Expand a brace pattern, after its ranges have been counted."""
    for start, stop, step in _BRACE_RANGE.findall(pattern):
        check_entries(pattern, abs(int(stop) - int(start)) // (int(step or 1) or 1) + 1)
    names = list(islice(braceexpand(pattern), max_entries() + 1))
    check_entries(pattern, len(names))
    return names


def _local_candidates(source: str) -> list[StoredFile | BadFile]:
    path = Path(source).expanduser()
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.is_file() and not _hidden(p, path))
        return [StoredFile(str(p)) for p in found]
    if path.is_file():
        return read_list(str(path)) if is_list(path.name) else [StoredFile(str(path))]
    found = sorted(p for p in glob(str(path), recursive=True) if Path(p).is_file())
    if has_magic(source) and found:
        return [StoredFile(p) for p in found]
    raise FileNotFoundError(
        f"source {source!r} does not exist; give a folder, a glob, a file or a list of paths"
    )


def _remote_candidates(url: str) -> list[StoredFile | BadFile]:
    """List the files of a URL, a folder if its last part has no dot or ends in a slash."""
    with storage_errors(url):
        system, path = url_to_fs(url)
        base = url.rstrip("/").rpartition("/")[2]
        if "*" in url:
            found = sorted(system.glob(path))
        elif "." in base and not url.endswith("/"):
            return read_list(url) if is_list(url) else [StoredFile(url)]
        else:
            found = sorted(system.find(path))
        names = [str(system.unstrip_protocol(name)) for name in found]
    if not names:
        raise FileNotFoundError(f"source {url!r} does not exist or contains no files")
    return [StoredFile(name) for name in names]


def _exists(source: str) -> bool:
    return not is_remote(source) and Path(source).expanduser().exists()


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
