"""Mean and standard deviation of the stored latents of a job, per channel.

The sidecar of each shard holds the sums over its latents, so that a resumed job ends with the same
statistics as an undisturbed one. Sums are float64, over the float16 values as they are stored.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from pydantic import NonNegativeInt

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LatentSums:
    """Sums over the latents of a shard.

    Attributes:
        count: number of latent vectors.
        sums: sum of every channel.
        squares: sum of the squares of every channel.
    """

    count: NonNegativeInt
    sums: list[float]
    squares: list[float]


@dataclass(frozen=True)
class LatentStatistics:
    """Statistics of the latents of a job, before any scaling.

    Attributes:
        mean: mean of every channel.
        std: standard deviation of every channel, of the population (divided by n).
        count: number of latent vectors.
    """

    mean: list[float]
    std: list[float]
    count: int


def sum_latents(records: Sequence[Mapping[str, Any]]) -> LatentSums:
    """Sum up the stored means of some samples, whose rows are those of a shard of latents.

    A sample with values beyond float16 is left out, with a warning.
    """
    total = None
    for record in records:
        positions = sum(prod(grid[:3]) for grid in record["grid"])
        values = np.frombuffer(record["mean"], np.float16).astype(np.float64)
        vectors = values.reshape(-1, positions)
        if not np.isfinite(vectors).all():
            log.warning(
                "the latents of %s exceed the range of float16; they are left out of the mean "
                "and standard deviation in the manifest",
                record["key"],
            )
            continue
        row = np.stack([vectors.sum(axis=1), np.square(vectors).sum(axis=1)])
        sums, count = total or (0.0, 0)
        total = sums + row, count + positions
    if total is None:
        return LatentSums(0, [], [])
    (first, second), count = total
    return LatentSums(count, first.tolist(), second.tolist())


def statistics_of(shards: Iterable[LatentSums | None]) -> LatentStatistics | None:
    """Return the statistics of all shards together; None where there are no latents."""
    present = [shard for shard in shards if shard is not None and shard.count]
    if not present:
        return None
    count = sum(shard.count for shard in present)
    mean = np.sum([shard.sums for shard in present], axis=0) / count
    squares = np.sum([shard.squares for shard in present], axis=0) / count
    std = np.sqrt(np.clip(squares - np.square(mean), 0, None))
    return LatentStatistics(mean.tolist(), std.tolist(), count)
