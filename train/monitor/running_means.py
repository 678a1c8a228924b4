"""Running means of losses and terms between two logged steps, over all steps and all ranks."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ...distributed import all_reduce_sum, rank_and_world_size


class RunningMeans:
    """Running means kept on the device; nothing synchronizes until they are computed."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add the terms of one micro-batch, scalars without a graph."""
        for name, value in terms.items():
            if name not in self._sums:
                self._sums[name] = torch.zeros_like(value, dtype=torch.float32)
                self._counts[name] = 0
            self._sums[name] += value
            self._counts[name] += 1

    def reset(self) -> None:
        """Start new sums and counts."""
        self._sums, self._counts = {}, {}

    def state_dict(self) -> dict[str, tuple[Tensor, int]]:
        """Return sums (averaged over the ranks) and counts by name; all ranks must call this."""
        ranks = rank_and_world_size()[1]
        return {
            name: ((all_reduce_sum(total) / ranks).cpu(), self._counts[name])
            for name, total in self._sums.items()
        }

    def load_state_dict(
        self, state: Mapping[str, tuple[Tensor, int]], device: torch.device
    ) -> None:
        """Restore what `state_dict` returned."""
        self._sums = {name: total.to(device) for name, (total, _) in state.items()}
        self._counts = {name: count for name, (_, count) in state.items()}

    def compute_and_reset(self) -> dict[str, float]:
        """Return the means since the last call, equal on every rank; all ranks must call this."""
        if not self._sums:
            return {}
        names = list(self._sums)
        means = torch.stack([self._sums[name] / self._counts[name] for name in names])
        means = (all_reduce_sum(means) / rank_and_world_size()[1]).tolist()
        self.reset()
        return dict(zip(names, means, strict=True))
