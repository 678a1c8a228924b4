"""Kernel Inception distance (arXiv 1801.01401): squared MMD under a polynomial kernel, unbiased.

With D values per feature, over subsets of m originals x and m reconstructions y:

    (1)  k(a, b) = (a . b / D + 1)^3
    (2)  MMD^2 = (sum_{i != j} k(x_i, x_j) + sum_{i != j} k(y_i, y_j)) / (m (m - 1))
                 - 2 sum_{i, j} k(x_i, y_j) / m^2

Reported are mean and standard deviation over 100 subsets, drawn as torchmetrics draws them. The
features are sorted by their samples' keys, so that neither the order of the source nor batches nor
ranks matter.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ..features.inception import Inception
from .feature_statistics import FeatureStatistics
from .metric import SetMetric

SUBSETS = 100
SUBSET_SIZE = 1000


class KID(SetMetric):
    """KID on the pooled features of every frame.

    Args:
        extractor: InceptionV3.
        seed: random seed of the subsets.
        subset_size: m; all features if there are fewer.
    """

    name = "kid"
    keeps_features = True

    def __init__(self, extractor: Inception, seed: int, subset_size: int = SUBSET_SIZE) -> None:
        self.extractor, self.seed, self.subset_size = extractor, seed, subset_size

    def unavailable_reason(self, num_features: int) -> str | None:
        """Return a reason for fewer than two images, which the estimate needs."""
        return None if num_features > 1 else "needs at least 2 images, got 1"

    def caveat(self, num_features: int) -> str | None:
        """Warn if there are too few images for subsets of the standard size."""
        if num_features >= self.subset_size:
            return None
        return f"subsets of {num_features} images instead of {self.subset_size}"

    def numbers(
        self, originals: FeatureStatistics, reconstructions: FeatureStatistics
    ) -> dict[str, float]:
        """Return mean and standard deviation of the distance over subsets."""
        x, y = originals.kept.double(), reconstructions.kept.double()
        size = min(self.subset_size, len(x))
        generator = torch.Generator().manual_seed(self.seed)
        values: list[Tensor] = []
        for _ in range(SUBSETS):
            x_subset = x[torch.randperm(len(x), generator=generator)[:size]]
            y_subset = y[torch.randperm(len(y), generator=generator)[:size]]
            values.append(squared_mmd(x_subset, y_subset))
        distances = torch.stack(values)
        return {"kid": distances.mean().item(), "kid_std": distances.std(correction=0).item()}


def squared_mmd(x: Float[Tensor, "m D"], y: Float[Tensor, "m D"]) -> Float[Tensor, ""]:
    """Estimate the squared MMD of two sets of equal size without bias (2)."""
    m = len(x)

    def within(features: Tensor) -> Tensor:
        kernel = _kernel(features, features)
        return (kernel.sum() - kernel.trace()) / (m * (m - 1))

    return within(x) + within(y) - 2 * _kernel(x, y).mean()  # (2)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3  # (1)
