"""What is kept of the features of a set: float64 moments, and the features themselves if asked.

Statistics of parts add up. With N features f_n of D values:

    (1)  mean = sum f_n / N
    (2)  covariance = (sum f_n f_n^T - N mean mean^T) / (N - 1)

Products are summed in blocks of a fixed number of features, so that batch sizes do not matter.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from ...distributed import all_gather_object, all_reduce_sum

BLOCK = 256


class FeatureStatistics:
    """Features of one side, originals or reconstructions.

    Args:
        dim: D, values per feature.
        keep: whether the features themselves are wanted, and not only their moments.
    """

    def __init__(self, dim: int, keep: bool = False) -> None:
        self.dim, self.keep = dim, keep
        self.count = 0
        self._sum = torch.zeros(dim, dtype=torch.float64)
        self._products = torch.zeros(dim, dim, dtype=torch.float64)
        self._kept: dict[str, Tensor] = {}
        self._waiting: list[Tensor] = []

    def add(self, keys: Sequence[str], features: Float[Tensor, "B n D"]) -> None:
        """Count the features of a batch, n for each sample."""
        if features.shape[-1] != self.dim:
            raise ValueError(f"features must have {self.dim} values, got {features.shape[-1]}")
        values = features.detach().to("cpu", torch.float32)
        if self.keep:
            self._kept |= dict(zip(keys, values.clone(), strict=True))
        self._waiting.append(values.flatten(0, 1))
        if sum(map(len, self._waiting)) >= BLOCK:
            self._sum_blocks()

    def over_all_ranks(self) -> "FeatureStatistics":
        """The statistics of every rank together, the same on each; all ranks must call this."""
        self._sum_blocks(all_of_them=True)
        total = FeatureStatistics(self.dim, self.keep)
        total.count = int(all_reduce_sum(torch.tensor(self.count)))
        total._sum = all_reduce_sum(self._sum)
        total._products = all_reduce_sum(self._products)
        for kept in all_gather_object(self._kept):
            total._kept |= kept
        return total

    @property
    def mean(self) -> Float64[Tensor, "D"]:
        """(1)."""
        self._sum_blocks(all_of_them=True)
        return self._sum / self.count

    @property
    def covariance(self) -> Float64[Tensor, "D D"]:
        """(2).

        Raises:
            ValueError: fewer than two features.
        """
        mean = self.mean
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 features, got {self.count}")
        return (self._products - self.count * torch.outer(mean, mean)) / (self.count - 1)

    @property
    def kept(self) -> Float32[Tensor, "N D"]:
        """All features in the order of their samples' keys, whatever order they came in."""
        assert self.keep, "statistics that only sum have no features to hand out"
        return torch.cat([self._kept[key] for key in sorted(self._kept)])

    def state(self) -> dict[str, Tensor]:
        """Tensors that `from_state` makes the same statistics of."""
        self._sum_blocks(all_of_them=True)
        count = torch.tensor(self.count)
        state = {"count": count, "sum": self._sum, "products": self._products}
        return state | {f"kept/{key}": features for key, features in self._kept.items()}

    @classmethod
    def from_state(cls, state: dict[str, Tensor], keep: bool) -> "FeatureStatistics":
        """Read what `state` gave."""
        statistics = cls(len(state["sum"]), keep)
        statistics.count = int(state["count"])
        statistics._sum, statistics._products = state["sum"], state["products"]
        prefix = "kept/"
        statistics._kept = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        return statistics

    def _sum_blocks(self, all_of_them: bool = False) -> None:
        if not self._waiting:
            return
        waiting = torch.cat(self._waiting)
        whole = len(waiting) if all_of_them else len(waiting) // BLOCK * BLOCK
        for block in waiting[:whole].double().split(BLOCK):
            self._sum += block.sum(dim=0)
            self._products.addmm_(block.T, block)
            self.count += len(block)
        self._waiting = [waiting[whole:]] if whole < len(waiting) else []
