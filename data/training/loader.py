"""Batches of training data, with a record of the files that could not be read."""

import logging
import signal
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..sources.media import BadFile, bad_limit
from .order import BatchPositions, SampleIndex
from .training_set import TrainingSample, TrainingSet

log = logging.getLogger(__name__)

PREFETCHED_BATCHES = 4

Batch = tuple[UInt8[Tensor, "B 3 T H W"], list[BadFile]]


class TrainingLoader:
    """Batches (B, 3, T, H, W) uint8, one per step, in order; to be iterated once.

    A file that cannot be read is logged the first time and replaced by the next file of its pool.
    More such files than the limit stop the run.

    Args:
        dataset: the training set.
        positions: the samples of every batch.
        workers: number of reading processes.
        max_bad: unreadable files that are accepted; see `bad_limit`.
        ignored_signals: signals that reading processes ignore, because schedulers send them to the
            whole process group and the run alone decides when to stop.

    Attributes:
        bad_files: files that could not be read so far, by path.
    """

    def __init__(
        self,
        dataset: TrainingSet,
        positions: BatchPositions,
        workers: int,
        max_bad: float = 0.01,
        *,
        ignored_signals: Sequence[int] = (),
    ) -> None:
        self.bad_files: dict[str, BadFile] = {}
        self._num_files, self._max_bad = len(dataset.files), max_bad
        self._positions = positions
        # A DataLoader accepts any iterable of index lists; its annotation is narrower
        self._loader = DataLoader(
            _Samples(dataset),
            batch_sampler=positions,  # pyright: ignore[reportArgumentType]
            num_workers=workers,
            collate_fn=_collate,
            # A separate generator: iteration draws a seed, by default from the run's random state
            generator=torch.Generator(),
            prefetch_factor=PREFETCHED_BATCHES if workers else None,
            worker_init_fn=partial(_ignore_signals, tuple(ignored_signals)),
        )
        self._note(dataset.unreadable)

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[UInt8[Tensor, "B 3 T H W"]]:
        for clips, bad in self._loader:
            self._note(bad)
            yield clips

    def _note(self, bad: Sequence[BadFile]) -> None:
        """Log new bad files, and raise if there are more than the limit."""
        for file in bad:
            if file.path not in self.bad_files:
                self.bad_files[file.path] = file
                log.warning("skipping %s: %s (%s)", file.path, file.reason, file.exception)
        limit = bad_limit(self._max_bad, self._num_files)
        if len(self.bad_files) > limit:
            listed = "\n  ".join(
                f"{b.path}: {b.reason}" for b in list(self.bad_files.values())[:10]
            )
            raise OSError(
                f"{len(self.bad_files)} of {self._num_files} training files cannot be read, "
                f"data.max_bad={self._max_bad:g} accepts {limit}:\n  {listed}\n"
                "`vistok inspect SOURCE` lists all of them; repair the source or raise data.max_bad"
            )


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
