"""The two kinds of metrics: those with a value per sample, and those of whole sets.

    SampleMetric    a pair -> columns of a table -> numbers
    SetMetric       features of an extractor -> statistics of each side -> numbers

Laws, tested for each: a sample's values do not depend on what shares its batch; neither batch sizes
nor the order of the samples nor the number of processes change the numbers of a set.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from jaxtyping import Float64
from torch import Tensor

from ..features.extractor import Extractor
from .feature_statistics import FeatureStatistics
from .image_pair import Pair


class SetMetric(ABC):
    """A number of all reconstructions together, beside all originals where it compares.

    Attributes:
        name: of the metric.
        extractor: network whose features it reads.
        compares: whether it needs the originals' features as well.
        keeps_features: whether moments are not enough.
    """

    name: str
    extractor: Extractor
    compares: bool = True
    keeps_features: bool = False

    @abstractmethod
    def unavailable_reason(self, num_features: int) -> str | None:
        """Why so many features are too few for a number; None where they are enough."""

    @abstractmethod
    def caveat(self, num_features: int) -> str | None:
        """What a reader of the number must know; None where there is nothing."""

    @abstractmethod
    def numbers(
        self, originals: FeatureStatistics, reconstructions: FeatureStatistics
    ) -> dict[str, float]:
        """What goes into the table; metrics that do not compare ignore `originals`."""


Column = Float64[Tensor, "B"]


class SampleMetric(ABC):
    """One row of values per sample, averaged at the end.

    Attributes:
        name: of the metric, and of its column.
        sha256: of its network's weights; None without a network.
    """

    name: str
    sha256: str | None = None

    @abstractmethod
    def measure(self, pair: Pair) -> dict[str, Column]:
        """The values of every sample of a batch, by column."""

    @abstractmethod
    def numbers(self, columns: Mapping[str, Column]) -> dict[str, float]:
        """What goes into the table, of the values of all samples."""

    def caveat(self, columns: Mapping[str, Column]) -> str | None:
        """What a reader of the numbers must know; None where there is nothing, as with most."""
        return None


class NotApplicableError(ValueError):
    """A metric that these images do not allow, and why."""


def frames_of(clips: Tensor) -> Tensor:
    """The frames of all clips (B, C, T, H, W) as one batch (B T, C, H, W)."""
    return clips.transpose(1, 2).flatten(0, 1)


def mean_over_frames(values: Tensor, num_clips: int) -> Column:
    """Values of frames (B T,) averaged clip by clip, in double precision."""
    return values.double().view(num_clips, -1).mean(dim=1)
