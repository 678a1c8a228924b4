"""Short names of tokenizers: the shortest part of a path that tells it apart from the others.

    runs/a/tokenizer, runs/b/tokenizer                 a, b
    runs/a/tokenizer, continuous:runs/a/tokenizer      a, continuous:a
    out/a/best, out/b/best, out/b/last                 a, b/best, last
    jpeg:q=50, identity                                unchanged: they are not paths

`tokenizer`, the name of the folder in every run, tells nothing and is left out. The full names are
in report.json and among the provenance of the other files.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from ..harness.row import Row
from ..reconstructors.catalog import KINDS

RUN_FOLDER_OF_TOKENIZERS = "tokenizer"

# What precedes a path, such as `diffusers:AutoencoderKL:`; the path; the number of repeated names.
_NAME = re.compile(r"(?P<kind>(?:[^/:]+:)*)(?P<path>.*?)(?P<number> \(\d+\))?", re.DOTALL)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return a short name for each of these unique names; those that are not paths keep theirs."""
    found = {name: _NAME.fullmatch(name) for name in names}
    paths = {name: _parts(match["path"]) if match else (name,) for name, match in found.items()}
    distinct = set(paths.values())
    short = {}
    for name, match in found.items():
        if match is None or (len(paths[name]) == 1 and "/" not in match["path"]):
            short[name] = name
            continue
        part = _shortest_part(paths[name], distinct - {paths[name]})
        short[name] = name if part is None else match["kind"] + part + (match["number"] or "")
    clashing = {name for name in names if list(short.values()).count(short[name]) > 1}
    return {name: name if name in clashing else short[name] for name in names}


def with_short_names(rows: Sequence[Row]) -> list[Row]:
    """Return rows, and their canonical rows, under their short names."""
    short = short_names([row.tokenizer for row in rows])
    return [_renamed(row, short[row.tokenizer]) for row in rows]


def _renamed(row: Row, name: str) -> Row:
    canonical = None if row.canonical is None else replace(row.canonical, tokenizer=name)
    return replace(row, tokenizer=name, canonical=canonical)


def _parts(path: str) -> tuple[str, ...]:
    """Split a path into its parts, without the folder name that all runs share."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if len(parts) > 1 and parts[-1] == RUN_FOLDER_OF_TOKENIZERS:
        parts = parts[:-1]
    if len(parts) > 1 and parts[-1] in KINDS:
        parts[-2:] = ["/".join(parts[-2:])]  # runs/jpeg, since jpeg is a codec
    return tuple(parts)


def _shortest_part(parts: tuple[str, ...], others: set[tuple[str, ...]]) -> str | None:
    """Return the fewest consecutive parts that no other path has, the last ones where several do.

    Returns:
        The parts joined by slashes; None if every one of them is in another path, too.
    """
    for length in range(1, len(parts) + 1):
        for start in range(len(parts) - length, -1, -1):
            run = parts[start : start + length]
            if not any(_contains(other, run) for other in others) and run != ("..",):
                return "/".join(run)
    return None


def _contains(parts: tuple[str, ...], run: tuple[str, ...]) -> bool:
    return any(parts[i : i + len(run)] == run for i in range(len(parts) - len(run) + 1))
