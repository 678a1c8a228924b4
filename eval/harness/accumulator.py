"""Tally: the scores of one subject, added up batch by batch and rank by rank, divided once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...data.sources.media import BadFile
from ...distributed import all_gather_object
from ...tokenizers.code_statistics import CodeStatistics
from ..metrics.bootstrap import bootstrap_interval
from ..metrics.catalog import NO_CODEBOOK, Metrics
from ..metrics.feature_statistics import FeatureStatistics
from ..metrics.metric import SetMetric
from .scores import Scores

Statistics = dict[str, FeatureStatistics]


class MetricAccumulator:
    """Everything that the numbers of one subject are made of.

    Args:
        metrics: what is measured.
        group_sizes: codes of each group of indices.
        originals_for: extractors whose features of the originals are counted too.
        pixels_per_sample: unpadded, frames included.
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
        """Count a batch."""
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
        """The tallies of every rank together; all ranks must call this, also those without samples.

        Samples come in the order of the source.
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

    @property
    def columns(self) -> dict[str, Tensor]:
        """Values of all samples by column, in double precision."""
        samples = list(self.samples.values())
        names = [name for name in samples[0] if name != "key"]
        return {
            name: torch.tensor([sample[name] for sample in samples], dtype=torch.float64)
            for name in names
        }

    def mean(self, column: str) -> float | None:
        """Mean of a column; None where there is none."""
        values = self.columns
        return values[column].mean().item() if column in values else None

    def sample_numbers(self) -> dict[str, float]:
        """Numbers of the metrics with a value per sample."""
        columns = self.columns
        numbers: dict[str, float] = {}
        for metric in self.metrics.per_sample:
            numbers |= metric.numbers(columns)
        return numbers

    def sample_caveats(self) -> dict[str, str]:
        """Metrics with a value per sample whose number must not be read as it stands."""
        columns = self.columns
        found = {metric.name: metric.caveat(columns) for metric in self.metrics.per_sample}
        return {name: caveat for name, caveat in found.items() if caveat is not None}

    def intervals(self, seed: int) -> dict[str, tuple[float, float]]:
        """Bootstrap intervals of the means of per-sample values, where they are finite."""
        columns = self.columns
        found = {
            metric.name: bootstrap_interval(columns[metric.name], seed)
            for metric in self.metrics.per_sample
        }
        return {name: interval for name, interval in found.items() if interval is not None}

    def code_numbers(self) -> tuple[dict[str, float], dict[str, str]]:
        """Numbers of the codebooks, or why there are none."""
        if not self.codes.group_sizes:
            return {}, dict.fromkeys(self.metrics.codebook, NO_CODEBOOK)
        means = self.codes.use().means
        return {name: means[name] for name in self.metrics.codebook}, {}

    def set_numbers(self, originals: Statistics) -> "SetNumbers":
        """Numbers of the metrics of whole sets, beside these statistics of the originals."""
        result = SetNumbers()
        for metric in self.metrics.per_set:
            ours = self.reconstructions[metric.extractor.name]
            theirs = originals.get(metric.extractor.name, ours)
            reason = metric.unavailable_reason(ours.count) or _mismatch(metric, theirs, ours)
            if reason is not None:
                result.unavailable[metric.name] = reason
                continue
            result.numbers.update(metric.numbers(theirs, ours))
            caveats = [c for c in (metric.caveat(ours.count), metric.extractor.caveat) if c]
            if caveats:
                result.caveats[metric.name] = "; ".join(caveats)
        return result


@dataclass(frozen=True)
class SetNumbers:
    """Numbers of the metrics of whole sets.

    Attributes:
        numbers: by name.
        unavailable: metrics without a number, each with the reason.
        caveats: metrics whose number must not be read as it stands.
    """

    numbers: dict[str, float] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    caveats: dict[str, str] = field(default_factory=dict)


def _mismatch(
    metric: SetMetric, originals: FeatureStatistics, reconstructions: FeatureStatistics
) -> str | None:
    if not metric.compares or originals.count == reconstructions.count:
        return None
    return (
        f"{originals.count} features of originals stand beside {reconstructions.count} of "
        "reconstructions: some files could be read once and not again; run it again"
    )
