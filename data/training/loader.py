"""Batches of training data, with a record of the files that could not be read."""

import signal
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..sources.media import BadFile
from .bad_files import BadFileLog
from .order import BatchPositions, SampleIndex
from .sample import TrainingSample
from .streamed_set import StreamedBatches, StreamedSet
from .training_set import TrainingSet

PREFETCHED_BATCHES = 4

Batch = tuple[UInt8[Tensor, "B 3 T H W"], list[BadFile]]


class TrainingLoader:
    """Batches (B, 3, T, H, W) uint8, one per step, in order; to be iterated once.

    A file that cannot be read is logged the first time and replaced by the next file of its pool.
    More such files than the limit stop the run.

    Args:
        dataset: the training set, indexed or streamed.
        positions: the samples of every batch.
        workers: number of reading processes.
        max_bad: unreadable files that are accepted; see `bad_limit`.
        ignored_signals: signals that reading processes ignore, because schedulers send them to the
            whole process group and the run alone decides when to stop.
    """

    def __init__(
        self,
        dataset: TrainingSet | StreamedSet,
        positions: BatchPositions,
        workers: int,
        max_bad: float = 0.01,
        *,
        ignored_signals: Sequence[int] = (),
    ) -> None:
        self._positions = positions
        options: dict[str, Any] = {
            "num_workers": workers,
            "collate_fn": _collate,
            # A separate generator: iteration draws a seed, by default from the run's random state
            "generator": torch.Generator(),
            "prefetch_factor": PREFETCHED_BATCHES if workers else None,
            "worker_init_fn": partial(_ignore_signals, tuple(ignored_signals)),
        }
        if isinstance(dataset, StreamedSet):
            self._bad = BadFileLog(max_bad, None)
            batches = StreamedBatches(dataset, positions)
            self._loader = DataLoader(batches, batch_size=None, **options)
        else:
            self._bad = BadFileLog(max_bad, len(dataset.files))
            # A DataLoader accepts any iterable of index lists; its annotation is narrower
            sampler: Any = positions
            self._loader = DataLoader(_Samples(dataset), batch_sampler=sampler, **options)
            self._bad.note(dataset.unreadable)

    @property
    def bad_files(self) -> dict[str, BadFile]:
        """Files that could not be read so far, by path."""
        return self._bad.files

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[UInt8[Tensor, "B 3 T H W"]]:
        for clips, bad in self._loader:
            self._bad.note(bad, len(clips))
            yield clips


class _Samples(Dataset[TrainingSample]):
    """A training set that returns its samples with their bad files."""

    def __init__(self, dataset: TrainingSet) -> None:
        self.dataset = dataset

    def __getitem__(self, index: SampleIndex) -> TrainingSample:
        return self.dataset.read(index)


def _collate(samples: list[TrainingSample]) -> Batch:
    return torch.stack([sample.clip for sample in samples]), [b for s in samples for b in s.bad]


def _ignore_signals(signals: Sequence[int], _worker: int) -> None:
    for number in signals:
        signal.signal(number, signal.SIG_IGN)
