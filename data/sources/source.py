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

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from os.path import abspath
from pathlib import Path

from braceexpand import braceexpand
from fsspec.core import url_to_fs

from .bundled import bundled_files, is_bundled
from .file_list import is_list, read_list
from .location import Location, StoredFile
from .media import (
    HEAD_BYTES,
    READ_ERRORS,
    BadFile,
    MediaFile,
    MediaKind,
    bad_file,
    is_animated,
    media_kind,
    skip_reason,
)
from .parquet_table import index_parquet
from .storage import is_remote, read_heads, storage_errors
from .tar_shard import index_tar


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
    candidates = _candidates(source)
    names = _relative_names(source, candidates)
    for found in _expand_containers(candidates, names):
        if isinstance(found, BadFile):
            skipped.append(found)
            continue
        kind = media_kind(found.head)
        if kind is None:
            skipped.append(BadFile(str(found.location), skip_reason(found.head)))
        else:
            animated = kind == "image" and is_animated(found.head)
            files.append(MediaFile(_without_parents(found.name), found.location, kind, animated))
    if not files:
        reasons = "".join(f"\n  {bad.path}: {bad.reason}" for bad in skipped[:5])
        raise ValueError(
            f"source {source!r} contains no image or video ({len(skipped)} other file(s)); give a "
            f"folder, a glob, a file, a tar, a Parquet table or a list of images{reasons}"
        )
    return Listing(source, tuple(_with_unique_keys(files)), tuple(skipped))


# ---- candidate files -----------------------------------------------------------------------------


def _candidates(source: str) -> list[StoredFile]:
    """List the files that a source names."""
    if is_bundled(source):
        return [StoredFile(str(path)) for path in bundled_files(source)[1]]
    expanded = list(braceexpand(source)) if "{" in source and not _exists(source) else [source]
    if len(expanded) > 1:
        return [file for part in expanded for file in _candidates(part)]
    return _remote_candidates(source) if is_remote(source) else _local_candidates(source)


def _local_candidates(source: str) -> list[StoredFile]:
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


def _remote_candidates(url: str) -> list[StoredFile]:
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


# ---- containers ----------------------------------------------------------------------------------


def _expand_containers(
    candidates: Sequence[StoredFile], names: Sequence[str]
) -> Iterator[_Found | BadFile]:
    """Yield all files, with tars and tables replaced by the images and clips that they contain."""
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


# ---- keys ----------------------------------------------------------------------------------------


def _relative_names(source: str, files: Sequence[StoredFile]) -> list[str]:
    """Return names relative to the given folder, or else to the deepest folder common to all."""
    names = [f.name if is_remote(f.name) else Path(abspath(f.name)).as_posix() for f in files]
    folders = [name.split("/")[:-1] for name in names]
    levels = list(zip(*folders, strict=False))
    shared = next((i for i, parts in enumerate(levels) if len(set(parts)) > 1), len(levels))
    if is_bundled(source):
        shared = len(bundled_files(source)[0].absolute().parts)
    elif not is_remote(source) and Path(source).expanduser().is_dir():
        shared = len(Path(abspath(Path(source).expanduser())).parts)
    return ["/".join(name.split("/")[shared:]) for name in names]


def _with_unique_keys(files: Sequence[MediaFile]) -> list[MediaFile]:
    """Drop extensions from keys unless two would collide; a repeated file gets a number."""
    stems = [_stem(file.key) for file in files]
    uses = Counter(stems)
    named = [
        stem if uses[stem] == 1 else file.key.replace(".", "_")
        for stem, file in zip(stems, files, strict=True)
    ]
    seen: Counter[str] = Counter()
    keyed = []
    for key, file in zip(named, files, strict=True):
        seen[key] += 1
        unique = key if seen[key] == 1 else f"{key}~{seen[key]}"
        keyed.append(MediaFile(unique, file.location, file.kind, file.animated))
    return keyed


def _without_parents(name: str) -> str:
    """Remove `..` from a name: results are written under keys, and tars may not be trusted."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


def _stem(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + (base.rpartition(".")[0] or base)
