"""The data of a run: its training set, and the clips of its sample grids."""

import logging
from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Tensor

from ...data.evaluation_set import EvaluationSet, evaluation_batches
from ...data.sources.shard_stream import list_shards, media_kinds
from ...data.sources.source import list_source
from ...data.training.groups import WeightedFiles
from ...data.training.loader import TrainingLoader
from ...data.training.order import BatchPositions
from ...data.training.streamed_set import DEFAULT_BUFFER, StreamedSet, WeightedShards
from ...data.training.training_set import TrainingSet
from ..config.data import Data
from ..config.training import Train
from .preemption import STOP_SIGNALS

log = logging.getLogger(__name__)

GRID_SAMPLES = 8


@dataclass(frozen=True)
class TrainingData:
    """The training set of a run, and how this rank reads it.

    Attributes:
        dataset: the training set.
        data: reading processes, and how many unreadable files are accepted.
        options: default batch size, accumulation and steps.
        rank: of this process.
        world_size: number of processes.
    """

    dataset: TrainingSet | StreamedSet
    data: Data
    options: Train
    rank: int = 0
    world_size: int = 1

    def batches(self, start_step: int = 0, num_batches: int | None = None) -> TrainingLoader:
        """Return this rank's batches from a step of the run on.

        Step k of a run starts at micro-step k * accumulation_steps.

        Args:
            start_step: optimizer steps taken so far.
            num_batches: number of batches; None continues to the end of the run.
        """
        if start_step and isinstance(self.dataset, StreamedSet):
            log.warning(
                "data.shuffle=stream does not resume exactly: from step %d on a new pass over the "
                "shards begins, in an order drawn from (seed, step), so some files are seen again "
                "before others are seen at all",
                start_step,
            )
        first = start_step * self.options.accumulation_steps
        end = self.options.steps * self.options.accumulation_steps
        return TrainingLoader(
            self.dataset,
            self._positions(first, end if num_batches is None else first + num_batches),
            self.data.workers,
            self.data.max_bad,
            ignored_signals=STOP_SIGNALS,
        )

    def batches_with(self, num_samples: int) -> int:
        """Return how many of the first batches hold `num_samples` samples on all ranks together."""
        held = count = 0
        for batch in self._positions(0, num_samples):
            if held >= num_samples:
                break
            held, count = held + len(batch) * self.world_size, count + 1
        return count

    def _positions(self, first: int, end: int) -> BatchPositions:
        """Return this rank's samples of the micro-batches from one to another.

        Where rows of `data.buckets` give batches of several sizes, the micro-batches of a step are
        all of one row, so that every sample of the step has the same weight in its gradient.
        """
        options = self.options
        return BatchPositions(
            batch_size=tuple(
                group.batch_size or options.batch_size for group in self.dataset.groups
            ),
            start_step=first,
            stop_step=end,
            rank=self.rank,
            world_size=self.world_size,
            groups=self.dataset.schedule,
            batches_per_choice=options.accumulation_steps if self.data.rows else 1,
        )


def open_training_data(
    data: Data, options: Train, rank: int = 0, world_size: int = 1
) -> TrainingData:
    """Open the sources of the training data, and warn about files in them that are not used."""
    if data.shuffle == "stream":
        dataset = _open_stream(data, options.seed, world_size)
    else:
        dataset = _open_index(data, options.seed)
    return TrainingData(dataset, data, options, rank=rank, world_size=world_size)


def _open_index(data: Data, seed: int) -> TrainingSet:
    """List the files of all sources."""
    sources: list[WeightedFiles] = []
    for source, weight in data.sources:
        listing = list_source(source)
        if listing.skipped:
            log.warning("%d file(s) of %s are not images or videos", len(listing.skipped), source)
        sources.append(WeightedFiles(listing.files, weight))
    dataset = TrainingSet(sources, data, seed, data.cache_files, data.workers)
    listed = {file.path for source in sources for file in source.files}
    unused = len(listed) - len(dataset.files)
    if unused:
        clips = "the rows of data.buckets take" if data.rows else f"data.frames={data.frames} takes"
        log.warning("%d file(s) left out: %s videos", unused, clips)
    return dataset


def _open_stream(data: Data, seed: int, world_size: int) -> StreamedSet:
    """List the shards of all sources."""
    num_readers = world_size * max(data.workers, 1)
    sources: list[WeightedShards] = []
    for source, weight in data.sources:
        shards, others = list_shards(source)
        if others:
            log.warning("%d file(s) of %s are not tar shards", len(others), source)
        if len(shards) < num_readers:
            log.warning(
                "%s has %d shard(s) for %d reading processes (ranks x data.workers): some read the "
                "same shard at a time, so a batch may hold a file twice; make more, smaller shards "
                "or lower data.workers",
                source,
                len(shards),
                num_readers,
            )
        sources.append(WeightedShards(shards, media_kinds(source, shards), weight))
    return StreamedSet(sources, data, seed, data.shuffle_buffer or DEFAULT_BUFFER)


def preview_clips(
    dataset: TrainingSet | StreamedSet, source: str | None, size: int, frames: int
) -> UInt8[Tensor, "B 3 T H W"]:
    """Return the clips of all sample grids of a run, held-out ones if there are any.

    Args:
        dataset: the training set.
        source: held-out data, if there is any.
        size: side of the held-out crops, in pixels.
        frames: frames per held-out clip.

    Raises:
        ValueError: no file of the held-out data can be read.
    """
    if source is None:
        return dataset.first_clips(GRID_SAMPLES)
    heldout = EvaluationSet(list_source(source).files, size, frames, limit=GRID_SAMPLES)
    for batch in evaluation_batches(heldout, GRID_SAMPLES):
        if batch.clips is not None:
            return batch.clips
    raise ValueError(f"eval.source={source}: no file could be read")
