"""A Parquet table with the values of every sample, to find the samples behind a mean."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...output_file import replaced_file
from ..harness.row import Row, with_canonical

TEXT_COLUMNS = ("tokenizer", "protocol", "key")


def write_sample_table(path: Path, rows: Sequence[Row]) -> None:
    """Write tokenizer, protocol, key and values of all samples; the file appears complete or not.

    Args:
        path: path of the Parquet file; its folder is created.
        rows: rows in order; a preset's row is followed by its canonical row.
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
            pa.string() if name in TEXT_COLUMNS else pa.float64(),
        )
        for name in names
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_file(path) as partial:
        pq.write_table(pa.table(columns), partial)
