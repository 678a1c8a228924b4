"""Metrics of whole sets: features of an extractor → statistics of each side → numbers.

Law, tested for each: neither batch sizes nor the order of the samples nor the number of processes
change the numbers.
"""

from abc import ABC, abstractmethod

from ..features.extractor import Extractor
from .feature_statistics import FeatureStatistics


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
    def refusal(self, num_features: int) -> str | None:
        """Why so many features are too few for a number; None where they are enough."""

    @abstractmethod
    def caveat(self, num_features: int) -> str | None:
        """What a reader of the number must know; None where there is nothing."""

    @abstractmethod
    def numbers(
        self, originals: FeatureStatistics, reconstructions: FeatureStatistics
    ) -> dict[str, float]:
        """What goes into the table; metrics that do not compare ignore `originals`."""
