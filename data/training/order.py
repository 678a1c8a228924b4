"""The order of training data: the sample at each position, as pure functions.

    shuffle     position p of a pool of n files is file p mod n of epoch p // n, and every epoch is
                a permutation of all files, drawn from (key, epoch)
    schedule    choice i among weighted alternatives is drawn from (key, i); the number of equal
                choices before i is known, so each alternative has a sequence of its own
    batches     step s chooses a group; the n-th step of a group takes its positions
                [n * world_size * batch_size, ...), rank after rank

Nothing depends on workers or on earlier steps, so resuming means starting at step k. At each step
all ranks choose the same group, so their batches have the same shape.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

BLOCK = 4096


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
        choices = _choices(self, block)
        choice = int(choices[offset])
        before = _counts_before(self, block)[choice] + int((choices[:offset] == choice).sum())
        return choice, before


@dataclass(frozen=True)
class BatchPositions:
    """The sample indices of the batches of one rank, from one step to another.

    Attributes:
        batch_size: number of samples per step and rank.
        start_step: first step, counted from 0.
        stop_step: step after the last one.
        rank: rank of this process.
        world_size: number of processes.
        groups: schedule of the groups, one per step.
    """

    batch_size: int
    start_step: int
    stop_step: int
    rank: int = 0
    world_size: int = 1
    groups: WeightedSchedule = WeightedSchedule()

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        for step in range(self.start_step, self.stop_step):
            group, before = self.groups.at(step)
            first = (before * self.world_size + self.rank) * self.batch_size
            yield [SampleIndex(p, group) for p in range(first, first + self.batch_size)]

    def __len__(self) -> int:
        return self.stop_step - self.start_step


def file_index(key: str | int, position: int, num_files: int) -> int:
    """Return the file at a position; every epoch is a permutation of all files."""
    epoch, offset = divmod(position, num_files)
    return int(_epoch_order(key, epoch, num_files)[offset])


@lru_cache(maxsize=16)
def _epoch_order(key: str | int, epoch: int, num_files: int) -> np.ndarray:
    return _generator(f"{key}/epoch {epoch}").permutation(num_files)


@lru_cache(maxsize=64)
def _choices(schedule: WeightedSchedule, block: int) -> np.ndarray:
    """Draw one block of the sequence of choices."""
    edges = np.cumsum(schedule.weights) / sum(schedule.weights)
    numbers = _generator(f"{schedule.key}/block {block}").random(BLOCK)
    # Rounding may leave the last edge below 1; an alternative without weight is never chosen
    last = max(i for i, weight in enumerate(schedule.weights) if weight > 0)
    return np.minimum(np.searchsorted(edges, numbers, side="right"), last).astype(np.int16)


@lru_cache(maxsize=64)
def _counts_before(schedule: WeightedSchedule, block: int) -> tuple[int, ...]:
    """Count the choices of each alternative in all blocks before this one."""
    counts = np.zeros(len(schedule.weights), dtype=np.int64)
    for earlier in range(block):
        counts += np.bincount(_choices(schedule, earlier), minlength=len(schedule.weights))
    return tuple(counts.tolist())


def _generator(key: str) -> np.random.Generator:
    digest = hashlib.sha256(key.encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
