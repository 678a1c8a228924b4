"""Sources: from the words a user gives to a list of images and videos, in a fixed order.

A source is a file, a folder (searched recursively), a glob, a text list of paths, or the name of a
bundled set (`samples:train`). Folders and globs are sorted, so that everything built on a listing
is reproducible; what is no image or video is reported.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from os.path import commonpath
from pathlib import Path

from .bundled import bundled_files, is_bundled
from .media import HEAD_BYTES, BadFile, MediaFile, MediaKind, media_kind


@dataclass(frozen=True)
class Listing:
    """What a source holds.

    Attributes:
        source: the words it was asked with.
        files: images and videos, sorted by path.
        skipped: files that are neither, each with its reason.
    """

    source: str
    files: tuple[MediaFile, ...]
    skipped: tuple[BadFile, ...]

    def of_kind(self, kind: MediaKind) -> tuple[MediaFile, ...]:
        """The files of one kind."""
        return tuple(file for file in self.files if file.kind == kind)


def list_source(source: str | Path) -> Listing:
    """List the images and videos of a source.

    Args:
        source: a file, folder, glob, text list (`.txt`, one path per line, relative to the list),
            or a bundled set (`samples:all`, `samples:train`, `samples:heldout`, `samples:videos`).

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: there is something, but no image and no video.
    """
    root, paths = bundled_files(str(source)) if is_bundled(str(source)) else _find(str(source))
    files: list[tuple[Path, MediaKind]] = []
    skipped: list[BadFile] = []
    for path in paths:
        try:
            with path.open("rb") as stream:
                head = stream.read(HEAD_BYTES)
        except OSError as error:
            skipped.append(BadFile(str(path), str(error), type(error).__name__))
            continue
        kind = media_kind(head)
        if kind is None:
            reason = "no image or video by its first bytes" if head else "empty file"
            skipped.append(BadFile(str(path), reason))
        else:
            files.append((path, kind))
    if not files:
        raise ValueError(
            f"source {str(source)!r} holds no image or video ({len(skipped)} other file(s)); "
            "give a folder, a glob, a file or a text list of pictures or clips"
        )
    return Listing(str(source), tuple(_with_keys(root, files)), tuple(skipped))


def _find(source: str) -> tuple[Path, list[Path]]:
    """The folder that keys are relative to, and every candidate file."""
    path = Path(source).expanduser()
    if path.is_dir():
        return path, sorted(p for p in path.rglob("*") if p.is_file() and not _hidden(p, path))
    if path.is_file():
        if path.suffix == ".txt":
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
            listed = [path.parent / line for line in lines if line and not line.startswith("#")]
            return _common_root(listed), listed
        return path.parent, [path]
    if has_magic(source):
        found = sorted(Path(p) for p in glob(str(path), recursive=True) if Path(p).is_file())
        if found:
            return _common_root(found), found
    raise FileNotFoundError(
        f"source {source!r} does not exist; give a folder, a glob, a file or a text list of paths"
    )


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _common_root(paths: Sequence[Path]) -> Path:
    return Path(commonpath([path.absolute().parent for path in paths])) if paths else Path()


def _with_keys(root: Path, files: Sequence[tuple[Path, MediaKind]]) -> list[MediaFile]:
    """Name every file by its path without extension; files that would share a name keep theirs."""
    names = [path.absolute().relative_to(root.absolute()) for path, _ in files]
    stems = [name.with_suffix("").as_posix() for name in names]
    uses = Counter(stems)
    return [
        MediaFile(stem if uses[stem] == 1 else name.as_posix().replace(".", "_"), path, kind)
        for name, stem, (path, kind) in zip(names, stems, files, strict=True)
    ]
