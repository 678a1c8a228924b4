"""The order of training data: which sample stands at each position, as pure functions.

    shuffle     position p of a pool of n files is file p mod n of epoch p // n, and every epoch is
                a permutation of all files, drawn from (key, epoch)
    draws       choice i among weighted alternatives, drawn from (key, i); with it comes how often
                the same alternative was chosen before i, so each keeps a sequence of its own
    batches     step s draws a group; the n-th step of a group takes its positions
                [n * world_size * batch_size, ...), rank after rank

Nothing depends on workers or on what ran before, so resuming is starting at step k; and since ranks
draw the same group at the same step, their batches have the same shape.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

BLOCK = 4096


@dataclass(frozen=True, slots=True)
class SampleIndex:
    """Where a sample stands.

    Attributes:
        position: in the endless sequence of its group.
        group: samples of one group have one shape; see TrainingSet.
    """

    position: int
    group: int = 0


@dataclass(frozen=True)
class WeightedSchedule:
    """An endless sequence of choices among alternatives.

    Attributes:
        weights: how often each alternative is chosen, in proportion; none is negative.
        key: the seed of the sequence.
    """

    weights: tuple[float, ...] = (1.0,)
    key: str = ""

    def at(self, index: int) -> tuple[int, int]:
        """The choice at an index, and how many equal choices stand before it."""
        if len(self.weights) == 1:
            return 0, index
        block, offset = divmod(index, BLOCK)
        choices = _choices(self, block)
        choice = int(choices[offset])
        before = _counts_before(self, block)[choice] + int((choices[:offset] == choice).sum())
        return choice, before


@dataclass(frozen=True)
class BatchPositions:
    """The places of every batch from one step to another, on one rank.

    Attributes:
        batch_size: samples per step and rank.
        start_step: the first step, counted from 0.
        stop_step: the step after the last one.
        rank: this process.
        world_size: number of processes.
        groups: which group each step draws.
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
    """Which file stands at a position: every epoch is a permutation of all files."""
    epoch, offset = divmod(position, num_files)
    return int(_epoch_order(key, epoch, num_files)[offset])


@lru_cache(maxsize=16)
def _epoch_order(key: str | int, epoch: int, num_files: int) -> np.ndarray:
    return _generator(f"{key}/epoch {epoch}").permutation(num_files)


@lru_cache(maxsize=64)
def _choices(draws: WeightedSchedule, block: int) -> np.ndarray:
    """One block of the sequence."""
    edges = np.cumsum(draws.weights) / sum(draws.weights)
    numbers = _generator(f"{draws.key}/block {block}").random(BLOCK)
    # Rounding may leave the last edge below 1; an alternative without weight is never chosen
    last = max(i for i, weight in enumerate(draws.weights) if weight > 0)
    return np.minimum(np.searchsorted(edges, numbers, side="right"), last).astype(np.int16)


@lru_cache(maxsize=64)
def _counts_before(draws: WeightedSchedule, block: int) -> tuple[int, ...]:
    """How often each alternative is chosen in all blocks before this one."""
    counts = np.zeros(len(draws.weights), dtype=np.int64)
    for earlier in range(block):
        counts += np.bincount(_choices(draws, earlier), minlength=len(draws.weights))
    return tuple(counts.tolist())


def _generator(key: str) -> np.random.Generator:
    digest = hashlib.sha256(key.encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
