"""Resuming an interrupted evaluation from its partial scores.

While an evaluation runs, the position, key and values of every sample, the features of both sides
and the indices are stored in Parquet files of a few batches each. From these a later run
accumulates exactly what the interrupted one did. The folder's name is a hash of everything that the
scores depend on, so that another evaluation never reads them.
"""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from ...distributed import broadcast_object, rank_and_world_size
from ...output_file import replaced_file
from ..reconstructors.function import Function
from ..reconstructors.reconstructor import Reconstructor
from .accumulator import MetricAccumulator
from .evaluation import Evaluation
from .row import Row, with_canonical
from .scores import Scores

log = logging.getLogger(__name__)

WRITE_EVERY_SECONDS = 10.0
_SHAPES = b"vistok shapes"
_VALUE, _ORIGINALS, _RECONSTRUCTIONS, _INDICES = "value/", "originals/", "features/", "indices/"


class PartialScores:
    """The stored scores of one reconstructor.

    Args:
        folder: folder of the Parquet files, created with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pending: list[Scores] = []
        self._last_written = time.monotonic()

    def add(self, scores: Scores) -> None:
        """Add a batch, and write all pending ones if the last write was some seconds ago."""
        self._pending.append(scores)
        if time.monotonic() - self._last_written >= WRITE_EVERY_SECONDS:
            self.write()

    def write(self) -> None:
        """Write the pending batches to one file, which appears complete or not at all."""
        if not self._pending:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        # A run scores no position twice, so the first position is a unique name. An earlier run's
        # file of this name lacks features that this run needs, and is replaced.
        path = self.folder / f"{self._pending[0].positions[0]:010d}.parquet"
        table = pa.concat_tables([_to_table(scores) for scores in self._pending])
        with replaced_file(path) as partial:
            pq.write_table(table, partial)
        self._pending, self._last_written = [], time.monotonic()

    def read(self, originals_for: Sequence[str]) -> Iterator[Scores]:
        """Yield the scores of earlier runs that contain all required features.

        Args:
            originals_for: extractors whose features of the originals are required.
        """
        for path in sorted(self.folder.glob("[!.]*.parquet")):  # temporary files are hidden
            try:
                scores = _from_table(pq.read_table(path))
            except (OSError, pa.ArrowException, KeyError) as error:
                log.warning("%s cannot be read, its samples are scored again: %s", path, error)
                continue
            if set(originals_for) <= scores.originals.keys():
                yield scores


def _to_table(scores: Scores) -> pa.Table:
    """Build a table with one row per sample."""
    columns: dict[str, Any] = {
        "position": pa.array(scores.positions, pa.int64()),
        "key": pa.array(scores.keys, pa.string()),
    }
    for name, values in scores.columns.items():
        columns[_VALUE + name] = pa.array(values, pa.float64())
    shapes: dict[str, list[int]] = {}
    for name, tensor in _tensors(scores):
        columns[name] = pa.array([row.numpy().tobytes() for row in tensor], pa.binary())
        shapes[name] = list(tensor.shape[1:])
    return pa.table(columns).replace_schema_metadata({_SHAPES: json.dumps(shapes)})


def _tensors(scores: Scores) -> Iterator[tuple[str, Tensor]]:
    for name, features in scores.originals.items():
        yield _ORIGINALS + name, features.contiguous()
    for name, features in scores.reconstructions.items():
        yield _RECONSTRUCTIONS + name, features.contiguous()
    for number, grid in enumerate(scores.indices):
        yield f"{_INDICES}{number}", grid.contiguous()


def _from_table(table: pa.Table) -> Scores:
    shapes = json.loads((table.schema.metadata or {})[_SHAPES])

    def tensors(prefix: str, dtype: type) -> Mapping[str, Tensor]:
        return {
            name.removeprefix(prefix): _stack(table[name], shape, dtype)
            for name, shape in shapes.items()
            if name.startswith(prefix)
        }

    return Scores(
        positions=tuple(table["position"].to_pylist()),
        keys=tuple(table["key"].to_pylist()),
        columns={
            name.removeprefix(_VALUE): table[name].to_pylist()
            for name in table.column_names
            if name.startswith(_VALUE)
        },
        originals=tensors(_ORIGINALS, np.float32),
        reconstructions=tensors(_RECONSTRUCTIONS, np.float32),
        indices=tuple(tensors(_INDICES, np.int64).values()),
    )


def _stack(column: Any, shape: Sequence[int], dtype: type) -> Tensor:
    rows = np.frombuffer(b"".join(column.to_pylist()), dtype)
    return torch.from_numpy(rows.reshape(-1, *shape).copy())


def partial_scores_of(reconstructor: Reconstructor, evaluation: Evaluation) -> PartialScores | None:
    """Return the partial scores of a reconstructor; None if none are stored.

    Scores of a Python function are not stored, nor any where a metric is from outside the package,
    since a change of their code cannot be detected.
    """
    folder = evaluation.options.partial_scores
    metrics = (*evaluation.metrics.per_sample, *evaluation.metrics.per_set)
    if folder is None or isinstance(reconstructor, Function) or not all(map(_is_ours, metrics)):
        return None
    return PartialScores(folder / _evaluation_hash(reconstructor, evaluation))


def _is_ours(metric: object) -> bool:
    """Return whether a metric is of a class of this package."""
    return type(metric).__module__.partition(".")[0] == __name__.partition(".")[0]


def restore(partial: PartialScores | None, accumulator: MetricAccumulator) -> frozenset[int]:
    """Accumulate the scores of earlier runs, on the first rank.

    Returns:
        The positions of all restored samples, on every rank.
    """
    if partial is not None and rank_and_world_size()[0] == 0:
        for scores in partial.read(tuple(accumulator.originals)):
            # Files overlap if a run ignored earlier ones without the features it required.
            accumulator.add(scores.without(accumulator.samples))
    return broadcast_object(frozenset(accumulator.samples))


def remove_partial_scores(rows: Sequence[Row]) -> None:
    """Remove the stored scores of finished rows, and the folder around them if it is then empty.

    Scores of other, interrupted evaluations stay, and so do all other files in the folder.
    """
    folders = {row.partial_scores for row in with_canonical(rows) if row.partial_scores is not None}
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    for parent in {folder.parent for folder in folders}:
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()


def _evaluation_hash(reconstructor: Reconstructor, evaluation: Evaluation) -> str:
    """Hash everything that the scores of a reconstructor depend on."""
    metrics, dataset, options = evaluation.metrics, evaluation.dataset, evaluation.options
    facts = {
        "versions": [version("vistok"), version("torch")],
        "reconstructor": [reconstructor.name, reconstructor.fingerprint, reconstructor.settings],
        "device": [reconstructor.device, reconstructor.dtype, options.device],
        "files": evaluation.source_version,
        "shape": [dataset.frames, dataset.size],
        "protocol": evaluation.protocol.to_json(),
        "metrics": [metric.name for metric in metrics.per_sample],
        "weights": metrics.weights,
        "seed": options.seed,
        "batch_size": options.batch_size,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
