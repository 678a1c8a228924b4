"""Lists of files: text (one path per line), CSV or TSV (with a header) and JSON lines.

Paths are absolute, URLs, or relative to the list. The path is in the first of PATH_COLUMNS that a
table has; its other columns are fields of the file.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from posixpath import dirname
from typing import Any

from .location import StoredFile
from .storage import is_remote, open_stored

PATH_COLUMNS = ("path", "file", "file_name", "filename", "image", "video", "url")
LIST_SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl")


def is_list(name: str) -> bool:
    """Return whether a file is a list, by its name."""
    return name.lower().endswith(LIST_SUFFIXES)


def read_list(name: str) -> list[StoredFile]:
    """Read the files that a list names, in its order.

    Raises:
        ValueError: a row has no path, or a line is not a JSON object.
    """
    with open_stored(name) as file:
        text = file.read().decode("utf-8-sig")
    rows = _rows(name, text)
    return [StoredFile(_resolve(name, path), columns) for path, columns in rows]


def _rows(name: str, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    suffix = name.lower().rpartition(".")[2]
    match suffix:
        case "txt":
            lines = (line.strip() for line in text.splitlines())
            yield from ((line, {}) for line in lines if line and not line.startswith("#"))
        case "csv" | "tsv":
            delimiter = "," if suffix == "csv" else "\t"
            table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
            yield from _split_rows(name, table, first=2)
        case _:
            yield from _split_rows(name, _json_objects(name, text), first=1)


def _json_objects(name: str, text: str) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{name}:{number}: not valid JSON: {error}") from error
        if not isinstance(value, dict):
            raise ValueError(f"{name}:{number}: must be a JSON object, got {line[:60]!r}")
        yield value


def _split_rows(
    name: str, rows: Iterable[Mapping[str, Any]], first: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path and the other columns of each row."""
    for number, row in enumerate(rows, start=first):
        column = next((column for column in PATH_COLUMNS if row.get(column)), None)
        if column is None:
            raise ValueError(
                f"{name}:{number}: no path; one column must be named "
                f"{', '.join(PATH_COLUMNS)}, got {', '.join(map(str, row))}"
            )
        others = {key: value for key, value in row.items() if key not in (column, None)}
        yield str(row[column]), others


def _resolve(name: str, path: str) -> str:
    if is_remote(path) or path.startswith("/"):
        return path
    folder = dirname(name)
    return f"{folder}/{path}" if folder else path
