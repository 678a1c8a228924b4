"""Statistics of the features of a set: float64 moments, and on request the features themselves.

Statistics of several parts can be added. With N features f_n of D values:

    (1)  mean = sum f_n / N
    (2)  covariance = (sum f_n f_n^T - N mean mean^T) / (N - 1)

Products are summed in blocks of a fixed number of features, so that the batch size does not matter.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from ...distributed import all_gather_object, all_reduce_sum

BLOCK = 256


class FeatureStatistics:
    """Feature statistics of one side, originals or reconstructions.

    Args:
        dim: D, values per feature.
        keep: whether to keep the features themselves in addition to their moments.
    """

    MOMENTS = ("count", "sum", "products")

    def __init__(self, dim: int, keep: bool = False) -> None:
        self.dim, self.keep = dim, keep
        self._summed = 0
        self._sum = torch.zeros(dim, dtype=torch.float64)
        self._products = torch.zeros(dim, dim, dtype=torch.float64)
        self._kept: dict[str, Tensor] = {}
        self._pending: list[Tensor] = []

    def add(self, keys: Sequence[str], features: Float[Tensor, "B n D"]) -> None:
        """Add the features of a batch, n for each sample.

        Args:
            keys: names of the samples.
            features: values of the features.

        Raises:
            ValueError: features of another dimension than `dim`.
        """
        if features.shape[-1] != self.dim:
            raise ValueError(f"features must have {self.dim} values, got {features.shape[-1]}")
        values = features.detach().to("cpu", torch.float32)
        if self.keep:
            self._kept |= dict(zip(keys, values.clone(), strict=True))
        self._pending.append(values.flatten(0, 1))
        if sum(map(len, self._pending)) >= BLOCK:
            self._sum_blocks()

    @classmethod
    def of_features(cls, features: Float[Tensor, "N D"]) -> "FeatureStatistics":
        """Return the statistics of a whole set, which keep its features in their order."""
        statistics = cls(features.shape[-1], keep=True)
        statistics._kept = {"": features.detach()}
        statistics._pending = [features.detach().to("cpu", torch.float32)]
        return statistics

    def over_all_ranks(self) -> "FeatureStatistics":
        """Return the statistics of all ranks combined; every rank must call this."""
        self._sum_blocks(flush=True)
        total = FeatureStatistics(self.dim, self.keep)
        total._summed = int(all_reduce_sum(torch.tensor(self._summed)))
        total._sum = all_reduce_sum(self._sum)
        total._products = all_reduce_sum(self._products)
        for kept in all_gather_object(self._kept):
            total._kept |= kept
        return total

    @property
    def count(self) -> int:
        """Number of features that were added, summed already or not."""
        return self._summed + sum(map(len, self._pending))

    @property
    def mean(self) -> Float64[Tensor, "D"]:
        """Mean of all features (1)."""
        self._sum_blocks(flush=True)
        return self._sum / self.count  # (1)

    @property
    def covariance(self) -> Float64[Tensor, "D D"]:
        """Sample covariance of the features (2).

        Raises:
            ValueError: fewer than two features.
        """
        mean = self.mean
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 features, got {self.count}")
        return (self._products - self.count * torch.outer(mean, mean)) / (self.count - 1)  # (2)

    @property
    def kept(self) -> Float32[Tensor, "N D"]:
        """All features, sorted by their samples' keys."""
        assert self.keep, "only statistics with keep=True keep their features"
        return torch.cat([self._kept[key] for key in sorted(self._kept)])

    def moments(self) -> dict[str, Tensor]:
        """Return number, sum and summed products of all features; those of parts can be added."""
        self._sum_blocks(flush=True)
        values = (torch.tensor(self._summed), self._sum, self._products)
        return dict(zip(self.MOMENTS, values, strict=True))

    def state(self) -> dict[str, Tensor]:
        """Return the tensors from which `from_state` restores the statistics."""
        return self.moments() | {f"kept/{key}": features for key, features in self._kept.items()}

    @classmethod
    def from_state(cls, state: dict[str, Tensor], keep: bool) -> "FeatureStatistics":
        """Restore statistics from the tensors of `state`."""
        statistics = cls(len(state["sum"]), keep)
        statistics._summed = int(state["count"])
        statistics._sum, statistics._products = state["sum"], state["products"]
        prefix = "kept/"
        statistics._kept = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        return statistics

    def _sum_blocks(self, flush: bool = False) -> None:
        """Sum all whole blocks of pending features; with `flush` also the last, incomplete one."""
        if not self._pending:
            return
        pending = torch.cat(self._pending)
        whole = len(pending) if flush else len(pending) // BLOCK * BLOCK
        for block in pending[:whole].double().split(BLOCK):
            self._sum += block.sum(dim=0)
            self._products.addmm_(block.T, block)
            self._summed += len(block)
        self._pending = [pending[whole:]] if whole < len(pending) else []
