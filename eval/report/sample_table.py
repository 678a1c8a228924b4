"""The values of every sample as one Parquet table, to sort and to look up what went wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..harness.row import Row, with_canonical

WORDS = ("tokenizer", "protocol", "key")


def write_sample_table(path: Path, rows: Sequence[Row]) -> None:
    """Write tokenizer, protocol, key and values of all samples; the file appears whole.

    Args:
        path: of the Parquet file; its folder is made.
        rows: one after the other, presets with their rows under our own rules.
    """
    samples: list[dict[str, Any]] = [
        {"tokenizer": row.tokenizer, "protocol": row.protocol.name, **sample}
        for row in with_canonical(rows)
        for sample in row.per_sample
    ]
    names = dict.fromkeys(name for sample in samples for name in sample)
    columns = {
        name: pa.array(
            [sample.get(name) for sample in samples],
            pa.string() if name in WORDS else pa.float64(),
        )
        for name in names
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(pa.table(columns), partial)
    partial.replace(path)
