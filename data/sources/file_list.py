"""Lists of files: text (one path per line), CSV or TSV (with a header) and JSON lines.

Paths are absolute, URLs, or relative to the list. The path is in the first of PATH_COLUMNS that a
table has; its other columns are fields of the file. A row that cannot be read is one bad file.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from posixpath import dirname
from typing import Any

from .location import StoredFile
from .media import BadFile
from .storage import is_remote, open_stored

PATH_COLUMNS = ("path", "file", "file_name", "filename", "image", "video", "url")
LIST_SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl")


def is_list(name: str) -> bool:
    """Return whether a file is a list, by its name."""
    return name.lower().endswith(LIST_SUFFIXES)


def read_list(name: str) -> list[StoredFile | BadFile]:
    """Read the files that a list names, in its order; rows that name none are bad files.

    Raises:
        OSError: the list is missing or cannot be reached.
    """
    with open_stored(name) as file:
        # Bytes that are not UTF-8 are kept as surrogates, and cost only the row that has them
        text = file.read().decode("utf-8-sig", errors="surrogateescape")
    suffix = name.lower().rpartition(".")[2]
    if suffix == "txt":
        lines = (line.strip() for line in _lines(text))
        return [StoredFile(_resolve(name, p)) for p in lines if p and not p.startswith("#")]
    if suffix == "jsonl":
        return [_listed_file(name, number, row) for number, row in _json_objects(text)]
    rows = _table_rows(text, delimiter="," if suffix == "csv" else "\t")
    return _table_files(name, rows)


def _lines(text: str) -> Iterator[str]:
    """Yield lines as files have them; `str.splitlines` also splits at characters inside names."""
    return iter(io.StringIO(text, newline=None))


# ---- JSON lines ----------------------------------------------------------------------------------


def _json_objects(text: str) -> Iterator[tuple[int, Mapping[str, Any] | Exception]]:
    """Yield the number of each line with its object, or with the error."""
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, ValueError(f"not valid JSON: {error}")
            continue
        if isinstance(value, dict):
            yield number, value
        else:
            yield number, ValueError(f"must be a JSON object, got {line[:60]!r}")


# ---- CSV and TSV ---------------------------------------------------------------------------------


def _table_rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Yield the number of the first line of each row with its cells, or with the error.

    A row of several lines must be quoted correctly, lest a stray quote swallow the rows behind it.
    After an error, reading resumes at the next line.
    """
    lines = list(io.StringIO(text, newline=""))
    first = 0
    while first < len(lines):
        rest = (lines[number] for number in range(first, len(lines)))
        reader = csv.reader(rest, delimiter=delimiter)
        try:
            row = next(reader)
            stop = first + reader.line_num
            if reader.line_num > 1:
                list(csv.reader(lines[first:stop], delimiter=delimiter, strict=True))
        except csv.Error as error:
            yield first + 1, error
            first += 1
            continue
        if row:
            yield first + 1, row
        first = stop


def _table_files(
    name: str, rows: Iterator[tuple[int, list[str] | csv.Error]]
) -> list[StoredFile | BadFile]:
    """Return the files of a table, whose first row names the columns."""
    _, header = next(rows, (1, list[str]()))
    if isinstance(header, csv.Error) or not set(header) & set(PATH_COLUMNS):
        given = header if isinstance(header, csv.Error) else ", ".join(header)
        reason = f"the first line must be a header with a column named {_any_of_columns()}"
        return [BadFile(name, f"{reason}; got {given}", "ValueError")]
    return [
        _listed_file(name, number, row if isinstance(row, csv.Error) else _record(header, row))
        for number, row in rows
    ]


def _record(header: list[str], row: list[str]) -> dict[str, str | None]:
    """Return the cells of a row by their columns; missing cells are None."""
    return dict(zip_longest(header, row[: len(header)]))


# ---- rows ----------------------------------------------------------------------------------------


def _listed_file(
    name: str, number: int, row: Mapping[str, Any] | Exception
) -> StoredFile | BadFile:
    """Return the file that a row names, with the other columns as its fields."""
    place = f"{name}:{number}"
    if isinstance(row, Exception):
        return BadFile(place, str(row), type(row).__name__)
    column = next((column for column in PATH_COLUMNS if row.get(column)), None)
    if column is None:
        columns = ", ".join(row)
        reason = f"no path; one column must be named {_any_of_columns()}, got {columns}"
        return BadFile(place, reason, "ValueError")
    others = {key: value for key, value in row.items() if key != column}
    return StoredFile(_resolve(name, str(row[column])), others)


def _any_of_columns() -> str:
    return ", ".join(PATH_COLUMNS[:-1]) + f" or {PATH_COLUMNS[-1]}"


def _resolve(name: str, path: str) -> str:
    if is_remote(path) or path.startswith("/"):
        return path
    folder = dirname(name)
    return f"{folder}/{path}" if folder else path
