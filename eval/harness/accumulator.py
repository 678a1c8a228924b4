"""Accumulated values of one reconstructor, added batch by batch and combined over ranks."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...data.sources.media import BadFile
from ...distributed import all_gather_object
from ...tokenizers.code_statistics import CodeStatistics
from ..metrics.catalog import Metrics
from ..metrics.feature_statistics import FeatureStatistics
from .scores import Scores

Statistics = dict[str, FeatureStatistics]


class MetricAccumulator:
    """All values that the metrics of one reconstructor are computed from.

    Args:
        metrics: opened metrics.
        group_sizes: number of codes of each group of indices.
        originals_for: names of the extractors that also process the originals.
        pixels_per_sample: unpadded pixels of a sample, over all frames.
    """

    def __init__(
        self,
        metrics: Metrics,
        group_sizes: Sequence[int],
        originals_for: Sequence[str],
        pixels_per_sample: int,
    ) -> None:
        self.metrics = metrics
        self.pixels_per_sample = pixels_per_sample
        self.codes = CodeStatistics(group_sizes)
        self.samples: dict[int, dict[str, Any]] = {}
        self.bad: list[BadFile] = []
        keep = {m.extractor.name for m in metrics.per_set if m.keeps_features}
        sizes = {extractor.name: extractor.dim for extractor in metrics.extractors}
        self.reconstructions: Statistics = {
            name: FeatureStatistics(dim, name in keep) for name, dim in sizes.items()
        }
        self.originals: Statistics = {
            name: FeatureStatistics(sizes[name], name in keep) for name in originals_for
        }

    def add(self, scores: Scores) -> None:
        """Add the scores of a batch."""
        for i, (position, key) in enumerate(zip(scores.positions, scores.keys, strict=True)):
            values = {name: column[i] for name, column in scores.columns.items()}
            self.samples[position] = {"key": key, **values}
        for name, statistics in self.originals.items():
            statistics.add(scores.keys, scores.originals[name])
        for name, statistics in self.reconstructions.items():
            statistics.add(scores.keys, scores.reconstructions[name])
        for grid in scores.indices:
            self.codes.add(grid)
        self.codes.num_pixels += self.pixels_per_sample * len(scores.keys)

    def over_all_ranks(self) -> "MetricAccumulator":
        """Return the values of all ranks combined, with the samples in the order of the source.

        Every rank must call this, even one without samples.
        """
        total = MetricAccumulator(self.metrics, self.codes.group_sizes, (), self.pixels_per_sample)
        for samples, bad in all_gather_object((self.samples, self.bad)):
            total.samples |= samples
            total.bad += bad
        total.samples = dict(sorted(total.samples.items()))
        total.codes = self.codes.over_all_ranks()
        total.originals = {name: s.over_all_ranks() for name, s in self.originals.items()}
        total.reconstructions = {
            name: s.over_all_ranks() for name, s in self.reconstructions.items()
        }
        return total

    def columns(self) -> dict[str, Tensor]:
        """Build a tensor of the values of all samples for every column, in double precision."""
        samples = list(self.samples.values())
        names = [name for name in samples[0] if name != "key"]
        return {
            name: torch.tensor([sample[name] for sample in samples], dtype=torch.float64)
            for name in names
        }
