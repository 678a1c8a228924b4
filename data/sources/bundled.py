"""The images and clips that ship with vistok (see samples/LICENCES.md), as named sources.

Our configs never train on `samples:heldout`, so that scores on it are meaningful.
"""

from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "samples"
PREFIX = "samples:"
HELDOUT = ("kodim09", "kodim15", "kodim17", "kodim23")


def is_bundled(source: str) -> bool:
    """Return whether a source names a bundled set."""
    return source.startswith(PREFIX)


def bundled_files(source: str) -> tuple[Path, list[Path]]:
    """Return the root and the sorted files of a bundled set.

    Raises:
        ValueError: no set has that name.
    """
    images = sorted((SAMPLES / "images").glob("*.jpg"))
    videos = sorted((SAMPLES / "videos").glob("*.mp4"))
    heldout = [path for path in images if path.stem in HELDOUT]
    sets = {
        "all": images + videos,
        "images": images,
        "videos": videos,
        "heldout": heldout,
        "train": [path for path in images if path not in heldout] + videos,
    }
    name = source.removeprefix(PREFIX)
    if name not in sets:
        known = ", ".join(PREFIX + known for known in sets)
        raise ValueError(f"bundled source must be one of {known}, got {source!r}")
    return SAMPLES, sets[name]


def bundled_file(name: str) -> Path:
    """Return the path of one bundled file, named like `samples:kodim15`.

    Raises:
        FileNotFoundError: no bundled file has that name.
    """
    stem = name.removeprefix(PREFIX)
    files = {path.stem: path for path in bundled_files(f"{PREFIX}all")[1]}
    if stem not in files:
        known = ", ".join(PREFIX + known for known in files)
        raise FileNotFoundError(f"bundled file must be one of {known}, got {name!r}")
    return files[stem]
