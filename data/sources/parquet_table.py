"""Parquet tables with a column of images or clips: bytes, or Hugging Face's struct<bytes, path>.

The column is found by its type; where several fit, by its name. Rows are read one row group at a
time, and a process keeps the latest few, so a table for random access has small row groups (the
hub's have about 100 rows). The other columns are fields of their rows.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from posixpath import dirname
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .location import Location
from .media import HEAD_BYTES
from .storage import is_remote, open_stored, stored_size

MEDIA_COLUMNS = ("image", "video", "img", "picture", "jpg", "jpeg", "png", "webp", "mp4", "bytes")
MAX_GROUP_BYTES = 512 * 2**20
READS_KEPT = 4


@dataclass(frozen=True, slots=True)
class ParquetCell(Location):
    """One cell of a table.

    Attributes:
        table: path or URL of the Parquet file.
        column: the column of images or clips.
        group: number of the row group.
        row: number of the row inside its group.
        first: number of the group's first row inside the table.
    """

    table: str
    column: str
    group: int
    row: int
    first: int

    def open(self) -> io.BufferedIOBase:
        """The cell's bytes, or the file that a struct without bytes names."""
        value = _read_group(self.table, self.group, (self.column,))[self.column][self.row].as_py()
        if isinstance(value, dict):
            path = value.get("path")
            if value.get("bytes") is None and path:
                return open_stored(path if is_remote(path) else _beside(self.table, path))
            value = value.get("bytes")
        if value is None:
            raise OSError(f"{self}: the cell is empty")
        return io.BytesIO(value)

    def fields(self) -> dict[str, Any]:
        """The other columns of the row."""
        others = tuple(name for name in _column_names(self.table) if name != self.column)
        return _read_group(self.table, self.group, others).slice(self.row, 1).to_pylist()[0]

    def stamp(self) -> str:
        """The table's size and the row."""
        return f"{_table_size(self.table)}/{self.first + self.row}"

    def __str__(self) -> str:
        return f"{self.table}!{self.first + self.row}"


@dataclass(frozen=True)
class ParquetIndex:
    """The cells of a table, with the first bytes of its first filled one.

    A column holds one kind of media, so one head tells it for all.
    """

    cells: tuple[ParquetCell, ...]
    head: bytes


def index_parquet(table: str) -> ParquetIndex:
    """Read a table's footer and its first image.

    Raises:
        OSError: the file cannot be read.
        ValueError: no column of images, several without a known name, or too large row groups.
    """
    with open_stored(table) as file, pq.ParquetFile(file) as parquet:
        column = _media_column(table, parquet.schema_arrow)
        cells: list[ParquetCell] = []
        for group in range(parquet.num_row_groups):
            facts = parquet.metadata.row_group(group)
            if facts.total_byte_size > MAX_GROUP_BYTES:
                raise ValueError(
                    f"{table}: row group {group} holds {facts.total_byte_size / 2**20:.0f} MiB; "
                    f"random access takes at most {MAX_GROUP_BYTES // 2**20} MiB: "
                    "write the table again with row_group_size=100 or so"
                )
            first = len(cells)
            cells += [ParquetCell(table, column, group, r, first) for r in range(facts.num_rows)]
    return ParquetIndex(tuple(cells), _first_head(cells))


def _first_head(cells: list[ParquetCell]) -> bytes:
    for cell in cells:
        try:
            with cell.open() as stream:
                return stream.read(HEAD_BYTES)
        except OSError:
            continue  # an empty cell tells nothing; it is reported when it is read
    return b""


def _media_column(table: str, schema: pa.Schema) -> str:
    """The column of images or clips."""
    structs = [field.name for field in schema if _is_media_struct(field.type)]
    found = structs or [field.name for field in schema if _is_bytes(field.type)]
    known = [name for name in MEDIA_COLUMNS if name in found]
    if len(found) == 1 or known:
        return found[0] if len(found) == 1 else known[0]
    columns = ", ".join(f"{field.name}: {field.type}" for field in schema)
    raise ValueError(
        f"{table}: {'no' if not found else 'more than one'} column of bytes or struct<bytes, path> "
        f"({columns}); name the column of pictures `image`, or of clips `video`"
    )


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_media_struct(kind: pa.DataType) -> bool:
    names = {kind.field(i).name for i in range(kind.num_fields)}
    return pa.types.is_struct(kind) and {"bytes", "path"} <= names


@lru_cache(maxsize=READS_KEPT)
def _read_group(table: str, group: int, columns: tuple[str, ...]) -> pa.Table:
    """Some columns of a row group; without threads, which do not survive a fork."""
    with open_stored(table) as file, pq.ParquetFile(file, pre_buffer=False) as parquet:
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
