"""Batches of training data, with an account of the files that could not be read."""

import logging
import signal
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..sources.media import BadFile
from .order import BatchPositions, SampleIndex
from .training_set import TrainingSample, TrainingSet

log = logging.getLogger(__name__)

# However small a set is, so many bad files do not stop a run that accepts some.
FEW_BAD_FILES = 10
PREFETCHED_BATCHES = 4

Batch = tuple[UInt8[Tensor, "B 3 T H W"], list[BadFile]]


def bad_limit(max_bad: float, num_files: int) -> int:
    """How many bad files are accepted: below 1 a share (at least 10 files), else a number."""
    if max_bad >= 1 or max_bad == 0:
        return int(max_bad)
    return max(FEW_BAD_FILES, int(max_bad * num_files))


class TrainingLoader:
    """Batches (B, 3, T, H, W) uint8, one per step, in order; iterate once.

    A file that cannot be read is logged when it is first met, and the next file of its pool takes
    its place. More of them than the limit stop the run.

    Args:
        dataset: the training set.
        positions: the samples of every batch.
        workers: number of reading processes.
        max_bad: unreadable files that are accepted; see `bad_limit`.
        ignored_signals: signals that reading processes ignore, because schedulers send them to the
            whole process group and the run alone decides when to stop.

    Attributes:
        bad_files: the files that could not be read so far.
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
        # A DataLoader takes any iterable of index lists; its annotation asks for less than it takes
        self._loader = DataLoader(
            _Samples(dataset),
            batch_sampler=positions,  # pyright: ignore[reportArgumentType]
            num_workers=workers,
            collate_fn=_collate,
            # Of its own: a DataLoader that starts draws a seed, by default from the run's numbers
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
        """Log new bad files, and stop above the limit."""
        for file in bad:
            if file.path not in self.bad_files:
                self.bad_files[file.path] = file
                log.warning("left out %s: %s (%s)", file.path, file.reason, file.exception)
        limit = bad_limit(self._max_bad, self._num_files)
        if len(self.bad_files) > limit:
            listed = "\n  ".join(
                f"{b.path}: {b.reason}" for b in list(self.bad_files.values())[:10]
            )
            raise OSError(
                f"{len(self.bad_files)} of {self._num_files} training files cannot be read, "
                f"data.max_bad={self._max_bad:g} accepts {limit}:\n  {listed}\n"
                "`vistok inspect SOURCE` lists them all; mend the source or raise data.max_bad"
            )


class _Samples(Dataset[TrainingSample]):
    """A training set whose samples keep their account of bad files."""

    def __init__(self, dataset: TrainingSet) -> None:
        self.dataset = dataset

    def __getitem__(self, place: SampleIndex) -> TrainingSample:
        return self.dataset.read(place)


def _collate(samples: list[TrainingSample]) -> Batch:
    return torch.stack([sample.clip for sample in samples]), [b for s in samples for b in s.bad]


def _ignore_signals(signals: Sequence[int], _worker: int) -> None:
    for number in signals:
        signal.signal(number, signal.SIG_IGN)
