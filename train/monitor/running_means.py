"""Means of the figures of a run between two lines of its log, over all steps and all ranks."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ...distributed import all_reduce_sum, rank_and_world_size


class RunningMeans:
    """Adds figures up where they are; nothing waits for the device before somebody asks."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Count one micro-step's figures, scalars without a graph."""
        for name, value in terms.items():
            if name not in self._sums:
                self._sums[name] = torch.zeros_like(value, dtype=torch.float32)
                self._counts[name] = 0
            self._sums[name] += value
            self._counts[name] += 1

    def taken(self) -> dict[str, float]:
        """The means since the last call, the same on every rank; all ranks must call this."""
        if not self._sums:
            return {}
        names = list(self._sums)
        means = torch.stack([self._sums[name] / self._counts[name] for name in names])
        means = (all_reduce_sum(means) / rank_and_world_size()[1]).tolist()
        self._sums, self._counts = {}, {}
        return dict(zip(names, means, strict=True))
