"""Keys: names of the files of a source, unique and safe to write results under."""

from collections import Counter
from collections.abc import Sequence
from os.path import abspath
from pathlib import Path

from .bundled import bundled_files, is_bundled
from .location import StoredFile
from .media import MediaFile
from .storage import is_remote


def relative_names(source: str, files: Sequence[StoredFile]) -> list[str]:
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


def without_parents(name: str) -> str:
    """Remove `..` from a name: results are written under keys, and tars may not be trusted."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


def with_unique_keys(files: Sequence[MediaFile]) -> list[MediaFile]:
    """Drop extensions from keys unless two would collide; a repeated file gets a number.

    A number that would give the name of another file is skipped.
    """
    stems = [_stem(file.key) for file in files]
    uses = Counter(stems)
    named = [
        stem if uses[stem] == 1 else file.key.replace(".", "_")
        for stem, file in zip(stems, files, strict=True)
    ]
    taken, seen = set(named), Counter[str]()
    keyed = []
    for key, file in zip(named, files, strict=True):
        seen[key] += 1
        unique = key
        if seen[key] > 1:
            while (unique := f"{key}~{seen[key]}") in taken:
                seen[key] += 1
            taken.add(unique)
        keyed.append(MediaFile(unique, file.location, file.kind, file.animated))
    return keyed


def _stem(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + (base.rpartition(".")[0] or base)
