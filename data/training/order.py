"""The order of training data: the sample at each position, as pure functions.

    shuffle     position p of a pool of n files is file p mod n of epoch p // n, and every epoch is
                a permutation of all files, drawn from (key, epoch)
    schedule    choice i among weighted alternatives is drawn from (key, i); the number of equal
                choices before i is known, so each alternative has a sequence of its own
    batches     batch s chooses a group; the n-th batch of a group takes its positions
                [n * world_size * batch_size, ...), rank after rank

Nothing depends on workers or on earlier steps, so resuming means starting at step k. At each step
all ranks choose the same group, so their batches have the same shape and size.

Choices are drawn in blocks. The counts before a block are those before the previous one and its
own, so following a sequence costs the same anywhere in it; the first access far into a sequence
counts all blocks before it once.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

BLOCK = 4096

# Number of blocks between two counts that are kept, so that going back is cheap too.
MARK_EVERY = 1024

# Pools and schedules whose state is kept: far more than a run has.
KEPT = 1024


@dataclass(frozen=True, slots=True)
class SampleIndex:
    """The index of a training sample.

    Attributes:
        position: position in the endless sequence of the group.
        group: group of samples of one shape; see TrainingSet.
    """

    position: int
    group: int = 0


@dataclass(frozen=True)
class WeightedSchedule:
    """An endless sequence of random choices among weighted alternatives.

    Attributes:
        weights: relative frequencies of the alternatives; none is negative.
        key: seed of the sequence.
    """

    weights: tuple[float, ...] = (1.0,)
    key: str = ""

    def at(self, index: int) -> tuple[int, int]:
        """Return the choice at an index, and the number of equal choices before it."""
        if len(self.weights) == 1:
            return 0, index
        block, offset = divmod(index, BLOCK)
        counts = _block_counts(self).before(block)
        choices = _choices(self, block)
        choice = int(choices[offset])
        return choice, int(counts[choice] + (choices[:offset] == choice).sum())


@dataclass(frozen=True)
class BatchPositions:
    """The sample indices of the batches of one rank, from one step to another.

    Attributes:
        batch_size: number of samples per batch and rank, of all groups or of each group.
        start_step: first batch, counted from 0.
        stop_step: batch after the last one.
        rank: rank of this process.
        world_size: number of processes.
        groups: schedule of the groups.
        batches_per_choice: number of consecutive batches of one group: 1, or the micro-batches of
            an optimizer step.
    """

    batch_size: int | tuple[int, ...]
    start_step: int
    stop_step: int
    rank: int = 0
    world_size: int = 1
    groups: WeightedSchedule = WeightedSchedule()
    batches_per_choice: int = 1

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        for step in range(self.start_step, self.stop_step):
            choice, part = divmod(step, self.batches_per_choice)
            group, before = self.groups.at(choice)
            size = self.batch_size if isinstance(self.batch_size, int) else self.batch_size[group]
            batch = before * self.batches_per_choice + part
            first = (batch * self.world_size + self.rank) * size
            yield [SampleIndex(p, group) for p in range(first, first + size)]

    def __len__(self) -> int:
        return self.stop_step - self.start_step


def file_index(key: str | int, position: int, num_files: int) -> int:
    """Return the file at a position; every epoch is a permutation of all files."""
    epoch, offset = divmod(position, num_files)
    return int(_epoch_order(key, num_files).of_epoch(epoch)[offset])


class EpochOrder:
    """The permutation of the latest epoch of a pool; earlier ones are not kept.

    A reader goes through a pool from epoch to epoch, so its memory is four bytes per file.

    Args:
        key: seed of the pool.
        num_files: number of files in the pool.
    """

    def __init__(self, key: str | int, num_files: int) -> None:
        self.key, self.num_files = key, num_files
        self._epoch, self._order = -1, np.empty(0, dtype=np.uint32)

    def of_epoch(self, epoch: int) -> np.ndarray:
        """Return the permutation of an epoch."""
        if epoch != self._epoch:
            order = _generator(f"{self.key}/epoch {epoch}").permutation(self.num_files)
            self._epoch, self._order = epoch, order.astype(np.uint32)
        return self._order


@lru_cache(maxsize=KEPT)
def _epoch_order(key: str | int, num_files: int) -> EpochOrder:
    return EpochOrder(key, num_files)


class BlockCounts:
    """Counts of the choices of a schedule before each of its blocks.

    Args:
        schedule: the choices.
    """

    def __init__(self, schedule: WeightedSchedule) -> None:
        self.schedule = schedule
        self._block, self._counts = 0, np.zeros(len(schedule.weights), dtype=np.int64)
        self._marks = [self._counts]

    def before(self, block: int) -> np.ndarray:
        """Return how often each alternative is chosen in all blocks before this one."""
        if block < self._block:
            mark = block // MARK_EVERY
            self._block, self._counts = mark * MARK_EVERY, self._marks[mark]
        while self._block < block:
            choices = _choices(self.schedule, self._block)
            self._counts = self._counts + np.bincount(choices, minlength=len(self._counts))
            self._block += 1
            if self._block == len(self._marks) * MARK_EVERY:
                self._marks.append(self._counts)
        return self._counts


@lru_cache(maxsize=KEPT)
def _block_counts(schedule: WeightedSchedule) -> BlockCounts:
    return BlockCounts(schedule)


@lru_cache(maxsize=64)
def _choices(schedule: WeightedSchedule, block: int) -> np.ndarray:
    """Draw one block of the sequence of choices."""
    numbers = _generator(f"{schedule.key}/block {block}").random(BLOCK)
    return np.searchsorted(_edges(schedule), numbers, side="right").astype(np.int16)


@lru_cache(maxsize=KEPT)
def _edges(schedule: WeightedSchedule) -> np.ndarray:
    """Return the edges in [0, 1] between the alternatives that are chosen."""
    edges = np.cumsum(schedule.weights) / sum(schedule.weights)
    # The last alternative with a weight has no upper edge: rounding may leave it below 1
    last = max(i for i, weight in enumerate(schedule.weights) if weight > 0)
    return edges[:last]


def _generator(key: str) -> np.random.Generator:
    digest = hashlib.sha256(key.encode()).digest()
    # The words of an integer seed as the integer does, in half the time
    return np.random.Generator(np.random.PCG64(np.frombuffer(digest[:16], dtype="<u4")))
