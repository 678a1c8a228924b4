"""Evaluation: what all subjects share that are scored together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...data.evaluation_set import EvaluationSet
from ...data.sources.media import BadFile
from ..metrics.catalog import Metrics
from ..protocol import Protocol
from .reference_statistics import ReferenceStatistics


@dataclass(frozen=True)
class Evaluation:
    """What all subjects of one evaluation share.

    Attributes:
        dataset: the originals.
        skipped: files of the source that are neither images nor videos.
        protocol: the rules.
        metrics: what is measured.
        references: statistics of the originals, once they are known.
        batch_size: clips per batch.
        workers: reading processes.
        device: where metrics run.
        seed: of injected noise and of random subsets.
        with_fingerprints: whether the subjects' weights are hashed.
        with_pictures: whether images are kept to look at.
        show_progress: whether to show a bar on stderr.
        version: of the files (see `source_fingerprint`); None where nothing is resumed.
        parts: folder where scores lie until the evaluation is finished; None keeps none.
    """

    dataset: EvaluationSet
    skipped: Sequence[BadFile]
    protocol: Protocol
    metrics: Metrics
    references: ReferenceStatistics
    batch_size: int
    workers: int
    device: str
    seed: int
    with_fingerprints: bool
    with_pictures: bool
    show_progress: bool
    version: str | None
    parts: Path | None
