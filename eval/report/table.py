"""The table of a report: its columns, the text of its cells, and its marks.

Rows of different protocols are not comparable. A row under another protocol than the first one has
a mark beside every metric; the canonical row of a preset follows it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, isinf, isnan
from typing import Literal

from ..harness.row import Row, with_canonical
from ..reconstructors.catalog import CODECS

MARKS = ("", "†", "‡", "§", "¶", "#")
DASH = "–"

Value = float | int | str | None


@dataclass(frozen=True)
class Column:
    """A column of the table of scores.

    Attributes:
        key: name in report.json.
        title: heading.
        value: function from a row to the value of its cell.
        form: Python format of a number.
        better: whether high or low values are better; None if neither is.
        metric: whether it is one of `row.metrics`, with interval and reason.
    """

    key: str
    title: str
    value: Callable[[Row], Value]
    form: str = ""
    better: Literal["high", "low"] | None = None
    metric: bool = False


def _metric(
    key: str, title: str, form: str, better: Literal["high", "low"] | None, scale: float = 1.0
) -> Column:
    def value(row: Row) -> float | None:
        number = row.metrics.get(key)
        return None if number is None else scale * number

    return Column(key, title, value, form, better, metric=True)


METRIC_COLUMNS = (
    _metric("psnr", "PSNR (dB)", ".2f", "high"),
    _metric("ssim", "SSIM", ".4f", "high"),
    _metric("ms_ssim", "MS-SSIM", ".4f", "high"),
    _metric("lpips_alex", "LPIPS alex", ".4f", "low"),
    _metric("lpips_vgg", "LPIPS vgg", ".4f", "low"),
    _metric("rfid", "rFID", ".3f", "low"),
    _metric("kid", "KID × 1000", ".3f", "low", scale=1000.0),
    _metric("inception_score", "IS", ".2f", "high"),
    _metric("rfvd", "rFVD", ".2f", "low"),
    _metric("psnr_pooled", "pooled PSNR (dB)", ".2f", "high"),
    _metric("codebook_usage", "codes used (%)", ".1f", "high", scale=100.0),
    _metric("codebook_perplexity", "perplexity", ".4g", "high"),
    _metric("codebook_entropy", "entropy (bit)", ".3f", "high"),
)

COLUMNS = (
    Column("tokenizer", "tokenizer", lambda row: row.tokenizer),
    Column("bits_per_pixel", "bits/pixel", lambda row: row.bits_per_pixel, ".4f"),
    *METRIC_COLUMNS,
    Column(
        "empirical_bits_per_pixel",
        "entropy-coded bits/pixel",
        lambda row: row.empirical_bits_per_pixel,
        ".4f",
    ),
    Column(
        "stored_bits_per_pixel",
        "bits/pixel on disk",
        lambda row: row.stored_bits_per_pixel,
        ".4f",
    ),
    Column("values_per_pixel", "values/pixel", lambda row: row.values_per_pixel, ".4f"),
    Column("num_samples", "N", lambda row: row.num_samples, ",d"),
    Column("size", "size", lambda row: _size(row)),
    Column(
        "parameters",
        "parameters (M)",
        lambda row: None if row.parameters is None else row.parameters / 1e6,
        ",.2f",
    ),
    Column(
        "encode_samples_per_second", "encode/s", lambda row: row.encode_samples_per_second, ",.1f"
    ),
    Column(
        "decode_samples_per_second", "decode/s", lambda row: row.decode_samples_per_second, ",.1f"
    ),
    Column(
        "peak_memory_bytes",
        "peak memory (MiB)",
        lambda row: None if row.peak_memory_bytes is None else row.peak_memory_bytes / 2**20,
        ",.0f",
    ),
    Column("protocol", "protocol", lambda row: f"{row.protocol.name} {row.protocol.hash[:8]}"),
    Column("fingerprint", "fingerprint", lambda row: row.fingerprint and row.fingerprint[:8]),
    Column("extractors", "extractor weights", lambda row: _extractors(row)),
)


@dataclass(frozen=True)
class Cell:
    """A cell of the table of scores.

    Attributes:
        text: text of the cell.
        sort: value to sort by; None comes last.
        note: tooltip.
        best: whether no comparable tokenizer has a better value.
    """

    text: str
    sort: Value
    note: str = ""
    best: bool = False


@dataclass(frozen=True)
class Line:
    """A line of the table of scores: a row with its mark.

    Attributes:
        row: the row.
        mark: mark of its protocol; empty for that of the first row.
        cells: one cell per column.
    """

    row: Row
    mark: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table with all columns that have a value in some row.

    Attributes:
        columns: columns with content.
        lines: lines in the order of the rows; a canonical row follows its preset's row.
        legend: pairs of mark and protocol; empty if all rows have the same protocol.
    """

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    legend: tuple[tuple[str, str], ...]


def table_of(rows: Sequence[Row]) -> Table:
    """Build the table of these rows and their canonical rows."""
    flat = list(with_canonical(rows))
    every = _with_registered(COLUMNS, flat)
    columns = tuple(c for c in every if any(c.value(row) is not None for row in flat))
    rules = list(dict.fromkeys((row.protocol.name, row.protocol.hash) for row in flat))
    marks = {rule[1]: MARKS[min(i, len(MARKS) - 1)] for i, rule in enumerate(rules)}
    lines = tuple(
        Line(
            row,
            marks[row.protocol.hash],
            tuple(_cell(column, row, flat, marks[row.protocol.hash]) for column in columns),
        )
        for row in flat
    )
    legend = tuple((marks[digest], f"{name} ({digest})") for name, digest in rules)
    return Table(columns, lines, legend if len(rules) > 1 else ())


def _with_registered(columns: Sequence[Column], rows: Sequence[Row]) -> Iterator[Column]:
    """Yield the columns, and after the last metric one for each metric from outside the package."""
    known = {column.key for column in columns}
    others = dict.fromkeys(name for row in rows for name in row.metrics if name not in known)
    for column in columns:
        yield column
        if column is METRIC_COLUMNS[-1]:
            yield from (_metric(name, name, ".4g", None) for name in others)


def is_baseline(row: Row) -> bool:
    """Return whether a row is a baseline: a codec, bicubic scaling, or the images themselves."""
    return row.tokenizer.partition(":")[0] in (*CODECS, "bicubic", "identity")


def text_of(column: Column, row: Row) -> str:
    """Format the value of a cell; a dash if there is none."""
    value = column.value(row)
    if value is None:
        return DASH
    if isinstance(value, str):
        return value
    if isinf(value):
        return "inf"
    return DASH if isnan(value) else format(value, column.form)


def _cell(column: Column, row: Row, rows: Sequence[Row], mark: str) -> Cell:
    value, text, notes = column.value(row), text_of(column, row), []
    if column.metric:
        if column.key in row.intervals:
            low, high = row.intervals[column.key]
            notes.append(f"95 % interval {low:{column.form}} … {high:{column.form}}")
        if column.key in row.unavailable:
            notes.append(f"not measured: {row.unavailable[column.key]}")
    if column.key in row.caveats:
        text += " *"
        notes.append(row.caveats[column.key])
    if mark and (column.metric or column.key == "tokenizer"):
        text += f" {mark}"
    return Cell(text, value, "; ".join(notes), _is_best(column, row, rows))


def _is_best(column: Column, row: Row, rows: Sequence[Row]) -> bool:
    """Return whether no tokenizer under the same protocol is better; baselines do not compete."""
    others = [
        value
        for other in rows
        if other.protocol == row.protocol and not is_baseline(other)
        if isinstance(value := column.value(other), float)
    ]
    value = column.value(row)
    if column.better is None or is_baseline(row) or len(others) < 2:
        return False
    if value == inf:  # a single exact sample makes the mean infinite
        return False
    return value == (max(others) if column.better == "high" else min(others))


def _size(row: Row) -> str:
    square = f"{row.size}²"
    return square if row.frames == 1 else f"{row.frames} × {square}"


def _extractors(row: Row) -> str | None:
    return ", ".join(f"{name} {digest[:8]}" for name, digest in row.extractors.items()) or None
