"""Parquet tables with a column of images or clips: bytes, or Hugging Face's struct<bytes, path>.

The column is found by its type, and by its name if several have that type. Rows are read one row
group at a time, and a process caches the latest few, so tables for random access should have small
row groups (those of the hub have about 100 rows). The other columns are fields of their rows.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from posixpath import dirname
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .entry_limit import check_entries
from .location import Location
from .media import HEAD_BYTES, READ_ERRORS, media_kind
from .storage import is_remote, open_stored, stored_size

MEDIA_COLUMNS = ("image", "video", "img", "picture", "jpg", "jpeg", "png", "webp", "mp4", "bytes")
MAX_GROUP_BYTES = 512 * 2**20
CACHED_GROUPS = 4
# Non-empty cells that are searched for the first image or clip of a table.
HEADS_SEARCHED = 1000


@dataclass(frozen=True, slots=True)
class ParquetCell(Location):
    """One cell of a Parquet table.

    Attributes:
        table: path or URL of the Parquet file.
        column: name of the column of images or clips.
        group: index of the row group.
        row: index of the row inside its group.
        first: index of the group's first row inside the table.
    """

    table: str
    column: str
    group: int
    row: int
    first: int

    def open(self) -> io.BufferedIOBase:
        """Open the bytes of the cell, or the file that a struct without bytes names."""
        with _arrow_errors(self.table):
            column = _read_group(self.table, self.group, (self.column,))[self.column]
            value = column[self.row].as_py()
        if isinstance(value, dict):
            path = value.get("path")
            if value.get("bytes") is None and path:
                return open_stored(path if is_remote(path) else _beside(self.table, path))
            value = value.get("bytes")
        if value is None:
            raise OSError(f"{self}: the cell is empty")
        return io.BytesIO(value)

    def fields(self) -> dict[str, Any]:
        """Return the other columns of the row."""
        others = tuple(name for name in _column_names(self.table) if name != self.column)
        return _read_group(self.table, self.group, others).slice(self.row, 1).to_pylist()[0]

    def fingerprint(self) -> str:
        """Return the size of the table and the row."""
        return f"{_table_size(self.table)}/{self.first + self.row}"

    def __str__(self) -> str:
        return f"{self.table}!{self.first + self.row}"


@dataclass(frozen=True)
class ParquetIndex:
    """The cells of a table, with the first bytes of its first image or clip.

    A column contains one kind of media, so these bytes decide for all cells.
    """

    cells: tuple[ParquetCell, ...]
    head: bytes


def index_parquet(table: str) -> ParquetIndex:
    """Read the footer of a table and its first image.

    Raises:
        OSError: the file cannot be read.
        ValueError: the table has no column of images, or several without a known name, too many
            rows, or row groups that are too large.
    """
    with open_stored(table) as file, _arrow_errors(table), pq.ParquetFile(file) as parquet:
        column = _media_column(table, parquet.schema_arrow)
        check_entries(table, parquet.metadata.num_rows)
        cells: list[ParquetCell] = []
        starts: list[int] = []
        for group in range(parquet.num_row_groups):
            info = parquet.metadata.row_group(group)
            if info.total_byte_size > MAX_GROUP_BYTES:
                raise ValueError(
                    f"{table}: row group {group} has {info.total_byte_size / 2**20:.0f} MiB, but "
                    f"random access supports at most {MAX_GROUP_BYTES // 2**20} MiB; rewrite the "
                    "table with smaller row groups, for example row_group_size=100"
                )
            first = len(cells)
            check_entries(table, first + info.num_rows)
            starts += [first] if info.num_rows > 0 else []
            cells += [ParquetCell(table, column, group, r, first) for r in range(info.num_rows)]
    return ParquetIndex(tuple(cells), _first_media_head(cells, starts))


def _first_media_head(cells: Sequence[ParquetCell], starts: Sequence[int]) -> bytes:
    """Return the first bytes of the first cell that is media, or else of the first non-empty one.

    The search ends after HEADS_SEARCHED non-empty cells.
    """
    heads: list[bytes] = []
    for cell in islice(_filled(cells, starts), HEADS_SEARCHED):
        try:
            with cell.open() as stream:
                head = stream.read(HEAD_BYTES)
        except READ_ERRORS:
            continue  # such a cell decides nothing; it is reported when it is read
        if media_kind(head) is not None:
            return head
        heads += [head] if head else []
    return heads[0] if heads else b""


def _filled(cells: Sequence[ParquetCell], starts: Sequence[int]) -> Iterator[ParquetCell]:
    """Yield the cells that are not null, of the row groups that start at the given cells."""
    for start in starts:
        first = cells[start]
        try:
            column = _read_group(first.table, first.group, (first.column,))[first.column]
        except READ_ERRORS:
            continue  # reported when its cells are read
        for row in pc.indices_nonzero(_has_content(column)).to_pylist():  # pyright: ignore[reportAttributeAccessIssue]
            yield cells[start + row]


def _has_content(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return for each cell whether it contains bytes or a path."""
    if not pa.types.is_struct(column.type):
        return column.is_valid()
    parts = [pc.struct_field(column, name).is_valid() for name in ("bytes", "path")]  # pyright: ignore[reportAttributeAccessIssue]
    return pc.or_(*parts)  # pyright: ignore[reportAttributeAccessIssue]


def _media_column(table: str, schema: pa.Schema) -> str:
    """Return the name of the column of images or clips."""
    structs = [field.name for field in schema if _is_media_struct(field.type)]
    found = structs or [field.name for field in schema if _is_bytes(field.type)]
    known = [name for name in MEDIA_COLUMNS if name in found]
    if len(found) == 1 or known:
        return found[0] if len(found) == 1 else known[0]
    columns = ", ".join(f"{field.name}: {field.type}" for field in schema)
    raise ValueError(
        f"{table}: {'no' if not found else 'more than one'} column of bytes or struct<bytes, path> "
        f"({columns}); name the column of images `image`, or of clips `video`"
    )


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_media_struct(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind):
        return False
    parts = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
    data, path = parts.get("bytes"), parts.get("path")
    if data is None or path is None:
        return False
    is_text = pa.types.is_string(path) or pa.types.is_large_string(path)
    return (_is_bytes(data) or pa.types.is_null(data)) and (is_text or pa.types.is_null(path))


@contextmanager
def _arrow_errors(table: str) -> Iterator[None]:
    """Turn the errors of Arrow into OSError with the name of the table."""
    try:
        yield
    except (pa.ArrowException, IndexError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the file, and with its name
        raise OSError(f"{table}: {type(error).__name__}: {error}") from error


@lru_cache(maxsize=CACHED_GROUPS)
def _read_group(table: str, group: int, columns: tuple[str, ...]) -> pa.Table:
    """Read some columns of a row group; without threads, which do not survive a fork."""
    with (
        open_stored(table) as file,
        _arrow_errors(table),
        pq.ParquetFile(file, pre_buffer=False) as parquet,
    ):
        return parquet.read_row_group(group, columns=list(columns), use_threads=False)


@lru_cache(maxsize=64)
def _table_size(table: str) -> int:
    return stored_size(table)


@lru_cache(maxsize=64)
def _column_names(table: str) -> tuple[str, ...]:
    with open_stored(table) as file, pq.ParquetFile(file) as parquet:
        return tuple(parquet.schema_arrow.names)


def _beside(table: str, path: str) -> str:
    return path if path.startswith("/") else f"{dirname(table)}/{path}"
