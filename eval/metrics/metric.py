"""The two kinds of metrics: per sample, and of a whole set.

    SampleMetric    a pair of clips -> columns with one value per sample -> metrics of the set
    SetMetric       an extractor's features -> statistics of each side -> metrics of the set

Laws, tested for each: a sample's values do not depend on the rest of its batch; the metrics of a
set depend neither on batch sizes nor on the order of the samples nor on the number of processes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from jaxtyping import Float64
from torch import Tensor

from ..features.extractor import Extractor
from ..protocols.image_pair import Pair
from .feature_statistics import FeatureStatistics

Column = Float64[Tensor, "B"]


class SampleMetric(ABC):
    """A metric with a value for every sample, averaged over the set.

    Attributes:
        name: name of the metric, and of its column.
        sha256: hash of its network's weights; None without a network.
    """

    name: str
    sha256: str | None = None

    @abstractmethod
    def measure(self, pair: Pair) -> dict[str, Column]:
        """Return the values of every sample of a batch, by column."""

    @abstractmethod
    def numbers(self, columns: Mapping[str, Column]) -> dict[str, float]:
        """Return the metrics of a set by name, given the columns of all its samples."""

    def caveat(self, columns: Mapping[str, Column]) -> str | None:
        """Return a warning about the metric of this set, or None; most metrics never warn."""
        return None


class SetMetric(ABC):
    """A metric of all reconstructions together, compared to all originals if `compares` is set.

    Attributes:
        name: name of the metric.
        extractor: network that the features come from.
        compares: whether the features of the originals are needed as well.
        keeps_features: whether the features themselves are needed, beyond their moments.
    """

    name: str
    extractor: Extractor
    compares: bool = True
    keeps_features: bool = False

    @abstractmethod
    def unavailable_reason(self, num_features: int) -> str | None:
        """Return the reason why this number of features is too small, or None if it suffices."""

    @abstractmethod
    def caveat(self, num_features: int) -> str | None:
        """Return a warning about the metric of this number of features, or None."""

    @abstractmethod
    def numbers(
        self, originals: FeatureStatistics, reconstructions: FeatureStatistics
    ) -> dict[str, float]:
        """Return the metrics of a set by name; `originals` is ignored unless `compares` is set."""


def mean_over_frames(values: Tensor, num_clips: int) -> Column:
    """Average values of frames (B T,) over each clip, in double precision."""
    return values.double().view(num_clips, -1).mean(dim=1)
