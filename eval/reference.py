"""Statistics of the originals: taken with the first subject, known to all that follow."""

from ..tokenizers.all_ranks import from_first_rank
from .feature_statistics import FeatureStatistics
from .metrics import Metrics


class References:
    """Statistics of the originals by extractor; only the first rank of several holds them."""

    def __init__(self) -> None:
        self.known: dict[str, FeatureStatistics] = {}

    def missing(self, metrics: Metrics) -> tuple[str, ...]:
        """Extractors that still have to see the originals; all ranks must call this."""
        compared = {metric.extractor.name for metric in metrics.per_set if metric.compares}
        return from_first_rank(tuple(sorted(compared - self.known.keys())))

    def learn(self, statistics: dict[str, FeatureStatistics], complete: bool) -> None:
        """Keep what was taken of all originals, on the first rank."""
        self.known |= statistics
