"""Reading the rows of a shard, each checked before it is decoded."""

from collections.abc import Iterable
from math import isfinite, prod
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .plan import What
from .shard import Record, ShardMetadata, StoredShard, latent_schema, token_schema

_NULLABLE = ("fps", "logvar")


def read_records(shard: StoredShard) -> list[Record]:
    """Read all rows of a shard.

    Raises:
        ValueError: the shard cannot be read, or a column or value is not as `shard` describes it.
    """
    try:
        with pq.ParquetFile(shard.path) as file:
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{shard.path} cannot be read as Parquet: {error}") from error
    reason = _wrong_column(table, shard.metadata)
    if reason:
        raise ValueError(f"{shard.path} is not a shard of {shard.metadata.what}: {reason}")
    records = table.to_pylist()
    for record in records:
        reason = _wrong_value(record, shard.metadata)
        if reason:
            raise ValueError(f"{shard.path}: sample {record['key']!r}: {reason}")
    return records


def _wrong_column(table: pa.Table, metadata: ShardMetadata) -> str | None:
    """Return what is wrong with the columns of a shard, or None."""
    if metadata.what == "tokens" and metadata.codebook_size is None:
        return "its metadata has no codebook_size"
    expected = token_schema(metadata.codebook_size or 1)
    for field in expected if metadata.what == "tokens" else latent_schema():
        if table.column_names.count(field.name) != 1:
            return f"it must have one column {field.name!r}, has {', '.join(table.column_names)}"
        column = table.column(field.name)
        if column.type != field.type:
            return f"column {field.name!r} must be {field.type}, is {column.type}"
        if column.null_count and field.name not in _NULLABLE:
            return f"column {field.name!r} must not have null values, has {column.null_count}"
    return None


def _wrong_value(record: Record, metadata: ShardMetadata) -> str | None:
    """Return what is wrong with the values of a row, or None."""
    fps, size, grids = record["fps"], record["size"], record["grid"]
    if fps is not None and not (isfinite(fps) and fps > 0):
        return f"fps must be positive, is {fps}"
    if not _all_positive(size, length=3):
        return f"size must be [T, H, W], is {size}"
    if not grids or not all(_is_grid(grid, metadata.what) for grid in grids):
        return f"grid must be a list of [t, h, w, groups], is {grids}"
    if metadata.what == "tokens":
        return _wrong_tokens(record["tokens"], sum(map(prod, grids)), metadata.codebook_size or 1)
    num_values, odd = divmod(len(record["mean"]), 2)
    if odd or not num_values or num_values % sum(prod(grid[:3]) for grid in grids):
        return f"mean has {len(record['mean'])} bytes, which do not fill the grids {grids}"
    return None


def _wrong_tokens(tokens: list[int | None], expected: int, codebook_size: int) -> str | None:
    """Return what is wrong with the tokens of a row, or None."""
    if len(tokens) != expected:
        return f"{expected} tokens must fill its grids, found {len(tokens)}"
    if any(token is None or token >= codebook_size for token in tokens):
        return f"tokens must be below the codebook size of {codebook_size}"
    return None


def _is_grid(values: list[int | None] | None, what: What) -> bool:
    """Return whether these are [t, h, w, groups]; continuous tokenizers have no groups."""
    *sides, groups = values or [None]
    return _all_positive(sides, length=3) and groups is not None and groups >= (what == "tokens")


def _all_positive(values: Iterable[Any] | None, length: int) -> bool:
    """Return whether these are as many positive integers as expected, none of them null."""
    numbers = list(values or ())
    return len(numbers) == length and all(number is not None and number > 0 for number in numbers)
