"""Sources: lists of the images and videos of a folder, pattern or file, in a fixed order.

    folder             searched recursively, sorted; tars and Parquet tables in it are opened
    glob               images/*.jpg, clips/**/*.mp4; sorted
    brace pattern      shards-{000..009}.tar; in the order of the pattern
    file               an image, a video, a WebDataset tar, a Parquet table
    list               .txt, .csv, .tsv or .jsonl of paths; in the order of the list
    bundled set        samples:train

All of them may be URLs (s3://, gs://, hf://, https://, ...). Files are recognized by their first
bytes, not by their names; those that are neither images nor videos are reported. The order is
fixed, so that everything based on a listing is reproducible.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .candidates import candidate_files
from .keys import relative_names, with_unique_keys, without_parents
from .location import Location, StoredFile
from .media import (
    HEAD_BYTES,
    READ_ERRORS,
    BadFile,
    MediaFile,
    MediaKind,
    bad_file,
    bad_lines,
    media_file,
    misnamed,
    reportable,
)
from .parquet_table import index_parquet
from .storage import read_heads
from .tar_shard import index_tar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listing:
    """The images and videos of a source.

    Attributes:
        source: the source, as the user named it.
        files: images and videos, in order.
        skipped: files that are neither, each with the reason.
    """

    source: str
    files: tuple[MediaFile, ...]
    skipped: tuple[BadFile, ...]

    def of_kind(self, kind: MediaKind) -> tuple[MediaFile, ...]:
        """Return the files that can be read as one kind; animated images can be read as both."""
        return tuple(file for file in self.files if file.serves(kind))


@dataclass(frozen=True)
class _Found:
    """An image or clip that has no key yet, with a readable name and its extension."""

    name: str
    location: Location
    head: bytes


_Entry = TypeVar("_Entry", bound=_Found | StoredFile | BadFile)


def list_source(source: str | Path) -> Listing:
    """List the images and videos of a source.

    Args:
        source: a folder, glob, brace pattern, file, list, or bundled set; see the module.

    Raises:
        FileNotFoundError: the source does not exist.
        ValueError: the source contains no image and no video.
    """
    source = str(source)
    files: list[MediaFile] = []
    skipped: list[BadFile] = []
    entries = [_with_utf8_name(entry) for entry in candidate_files(source)]
    for found in map(_with_utf8_name, _expand_containers(source, entries)):
        if isinstance(found, BadFile):
            skipped.append(found)
            continue
        file = media_file(without_parents(found.name), found.location, found.head)
        if isinstance(file, BadFile):
            skipped.append(file)
        else:
            files.append(file)
    if not files:
        raise ValueError(
            f"source {source!r} contains no image or video ({len(skipped)} other file(s)); give a "
            "folder, a glob, a file, a tar, a Parquet table or a list of images"
            f"{bad_lines(skipped)}"
        )
    _warn_of_damage(source, skipped)
    return Listing(source, tuple(with_unique_keys(files)), tuple(skipped))


def _warn_of_damage(source: str, skipped: Sequence[BadFile]) -> None:
    """Name the files that could not be read, as opposed to those that are simply not media."""
    damaged = [bad for bad in skipped if bad.exception]
    if damaged:
        shown = bad_lines(damaged)
        log.warning("%d file(s) of %s cannot be read%s", len(damaged), source, shown)


def _with_utf8_name(entry: _Entry) -> _Entry | BadFile:
    """Return an entry, or a bad file if its name is not UTF-8, which reports cannot contain."""
    if isinstance(entry, BadFile):
        return BadFile(reportable(entry.path), reportable(entry.reason), entry.exception)
    return misnamed(str(entry.location if isinstance(entry, _Found) else entry)) or entry


# ---- containers ----------------------------------------------------------------------------------


def _expand_containers(
    source: str, entries: Sequence[StoredFile | BadFile]
) -> Iterator[_Found | BadFile]:
    """Yield all files, with tars and tables replaced by the images and clips that they contain."""
    yield from (entry for entry in entries if isinstance(entry, BadFile))
    candidates = [entry for entry in entries if isinstance(entry, StoredFile)]
    names = relative_names(source, candidates)
    heads = read_heads([file.name for file in candidates], HEAD_BYTES)
    for file, name, head in zip(candidates, names, heads, strict=True):
        if isinstance(head, Exception):
            yield bad_file(file.name, head)
        elif head[:4] == b"PAR1":
            yield from _expand_parquet(file.name, name)
        elif head[257:262] == b"ustar" or name.lower().endswith(".tar"):
            yield from _expand_tar(file.name, name)
        elif head[:2] == b"\x1f\x8b" and name.lower().endswith((".tar.gz", ".tgz")):
            yield BadFile(file.name, "a compressed tar has no random access; run gunzip on it")
        else:
            yield _Found(name, file, head)


def _expand_tar(tar: str, name: str) -> Iterator[_Found | BadFile]:
    try:
        index = index_tar(tar)
    except READ_ERRORS as error:
        yield bad_file(tar, error)
        return
    stem = name.removesuffix(".tar")
    for member, head in index.members:
        yield _Found(f"{stem}/{member.span.name}", member, head)
    if index.damage:
        yield BadFile(tar, index.damage, "ReadError")


def _expand_parquet(table: str, name: str) -> Iterator[_Found | BadFile]:
    try:
        index = index_parquet(table)
    except READ_ERRORS as error:
        yield bad_file(table, error)
        return
    stem = name.removesuffix(".parquet")
    for cell in index.cells:
        yield _Found(f"{stem}/{cell.first + cell.row:08d}", cell, index.head)
