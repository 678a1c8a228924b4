"""Kernel Inception distance (arXiv 1801.01401): squared MMD under a polynomial kernel, unbiased.

With D values per feature, over subsets of m originals x and m reconstructions y:

    (1)  k(a, b) = (a . b / D + 1)^3
    (2)  MMD^2 = (sum_{i != j} k(x_i, x_j) + sum_{i != j} k(y_i, y_j)) / (m (m - 1))
                 - 2 sum_{i, j} k(x_i, y_j) / m^2

Reported are mean and standard deviation over 100 subsets. (2) is torchmetrics' `poly_mmd`, and the
subsets are drawn as its class draws them, which is not used: it draws from the global random state,
fails for fewer features than a subset has, and takes features in the order of its updates. The
harness sorts the features by their samples' keys, so that neither the order of the source nor
batches nor ranks matter.
"""

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor
from torchmetrics.image.kid import poly_mmd

from ..features.extractor import Extractor
from ..features.inception import Inception
from ..protocols.protocol import CANONICAL, Protocol, protocol_of
from .feature_statistics import FeatureStatistics
from .metric import SetMetric, value_of_set

SUBSETS = 100
SUBSET_SIZE = 1000


class KID(SetMetric):
    """KID on the pooled features of every frame, 0 in the mean for equal sets; at least two images.

    `compute` returns the mean over subsets; `compute_all` also their deviation, `kid_std`.

    Args:
        extractor: a network of images; by default InceptionV3 under the protocol's rules.
        seed: random seed of the subsets.
        subset_size: m; all features if there are fewer.
        protocol: the rules or their name, for the default extractor.
        device: device of the default extractor.

    Raises:
        MissingWeights: Inception's weights file was not found and could not be downloaded.
    """

    name = "kid"
    keeps_features = True
    higher_is_better = False

    def __init__(
        self,
        extractor: Extractor | None = None,
        seed: int = 0,
        subset_size: int = SUBSET_SIZE,
        *,
        protocol: Protocol | str = CANONICAL,
        device: str = "cpu",
    ) -> None:
        super().__init__(extractor or Inception.of_protocol(protocol_of(protocol), device))
        self.seed, self.subset_size = seed, subset_size

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
            values.append(poly_mmd(x_subset, y_subset))  # (2)
        distances = torch.stack(values)
        return {"kid": distances.mean().item(), "kid_std": distances.std(correction=0).item()}


def kid(
    originals: Shaped[Tensor, "B 3 *frames H W"],
    reconstructions: Shaped[Tensor, "B 3 *frames H W"],
    protocol: Protocol | str = CANONICAL,
    seed: int = 0,
) -> Float64[Tensor, ""]:
    """Compute the KID of images (B, 3, H, W), or of the frames of clips (B, 3, T, H, W).

    It loads the network at every call, onto the device of the originals; `KID` loads it once, and
    takes sets in batches.

    Args:
        originals: floats in [-1, 1], or uint8; at least two images.
        reconstructions: floats, clamped to [-1, 1], or uint8; of the same shape.
        protocol: the rules or their name; by default both sides are rounded to 8 bits.
        seed: random seed of the subsets.

    Raises:
        ValueError: another shape, a single image, or originals beyond [-1, 1].
        MissingWeights: Inception's weights file was not found and could not be downloaded.
    """
    metric = KID(seed=seed, protocol=protocol, device=str(originals.device))
    return value_of_set(metric, originals, reconstructions)
