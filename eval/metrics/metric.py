"""The kinds of metrics: per sample, of a whole set, and of indices (`codebook.py`).

    SampleMetric    a pair of clips -> columns with one value per sample -> metrics of the set
    SetMetric       an extractor's features -> statistics of each side -> metrics of the set

All are `torchmetrics.Metric`s: `update` with batches, `compute` over the batches of all ranks,
`reset`. Their states are float64 sums (or the features themselves), which torchmetrics reduces over
the ranks.

The arithmetic is in two pure methods: `measure` or `features` of a batch, and `numbers` of a set.
`update` and `compute` call them, and so does the evaluation harness, which bypasses the states:
reports show the values of every sample, an interrupted evaluation resumes from them, and several
metrics share one extractor's features and the stored statistics of the originals.

Laws, tested for each: a sample's values do not depend on the rest of its batch; the metrics of a
set depend neither on batch sizes nor on the order of the samples nor on the number of processes.
(KID and the Inception score draw random subsets, which follow the order of the updates when the
metric is used alone; the harness sorts the samples.)
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float32, Float64, Shaped
from torch import Tensor
from torchmetrics import Metric

from ..features.extractor import Extractor
from ..protocols.image_pair import Pair, pair_of_pixels
from .feature_statistics import FeatureStatistics

Column = Float64[Tensor, "B"]
Side = Literal["originals", "reconstructions"]


class NamedMetric(Metric, ABC):
    """A torchmetrics metric with the values that reports show under its name.

    Attributes:
        name: name of the metric in reports, and of the value that `compute` returns.
    """

    is_differentiable = False
    full_state_update = False

    name: str

    @abstractmethod
    def local_values(self) -> dict[str, float]:
        """Return all values that reports show, by name, from the states of this process."""

    def compute(self) -> Float64[Tensor, ""]:
        """Return the metric of the samples of all ranks; every rank must call this.

        Raises:
            ValueError: too few samples.
        """
        return self.local_value()

    def local_value(self) -> Float64[Tensor, ""]:
        """Return the metric of this process's samples.

        Raises:
            ValueError: too few samples.
        """
        return torch.tensor(self.local_values()[self.name], dtype=torch.float64, device=self.device)

    def compute_all(self) -> dict[str, float]:
        """Return all values that reports show, by name, of all ranks; every rank must call this.

        Raises:
            ValueError: too few samples.
        """
        with self.sync_context(should_sync=self.sync_on_compute):
            return self.local_values()

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the states, which torchmetrics also uses for ranks without samples."""
        return torch.float64


class SampleMetric(NamedMetric):
    """A metric with a value for every sample, averaged over the set.

    A subclass whose constructor takes arguments must call that of this class.

    Attributes:
        name: name of the metric, and of its column.
        column_names: names of the columns that `measure` returns; by default just `name`.
        sha256: hash of its network's weights; None without a network.
    """

    column_names: tuple[str, ...] = ()
    sha256: str | None = None

    num_samples: Tensor
    sums: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.column_names = self.column_names or (self.name,)
        sums = torch.zeros(len(self.column_names), dtype=torch.float64)
        self.add_state("num_samples", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("sums", sums, dist_reduce_fx="sum")

    @abstractmethod
    def measure(self, pair: Pair) -> dict[str, Column]:
        """Return the values of every sample of a batch, by column."""

    def numbers(self, columns: Mapping[str, Column]) -> dict[str, float]:
        """Return the metrics of a set by name, given the columns of all its samples."""
        return self.numbers_of_means(
            {name: columns[name].mean().item() for name in self.column_names}
        )

    def numbers_of_means(self, means: Mapping[str, float]) -> dict[str, float]:
        """Return the metrics of a set by name, given its columns' means: by default just these."""
        return dict(means)

    def caveat(self, columns: Mapping[str, Column]) -> str | None:
        """Return a warning about the metric of this set, or None; most metrics never warn."""
        return None

    def update(
        self,
        originals: Shaped[Tensor, "B 3 *frames H W"],
        reconstructions: Shaped[Tensor, "B 3 *frames H W"],
    ) -> None:
        """Add a batch of clips (B, 3, T, H, W), or of images (B, 3, H, W).

        Args:
            originals: floats in [-1, 1], or uint8.
            reconstructions: floats, clamped to [-1, 1], or uint8; of the same shape.

        Raises:
            ValueError: another shape, or originals beyond [-1, 1].
            TypeError: other integers than uint8.
        """
        columns = self.measure(pair_of_pixels(originals, reconstructions))
        batch = torch.stack([columns[name].sum() for name in self.column_names])
        self.sums = self.sums + batch.to(self.sums)
        self.num_samples = self.num_samples + len(originals)

    def local_values(self) -> dict[str, float]:
        """Return the metrics of this process's samples by name."""
        count = int(self.num_samples)
        if count == 0:
            raise ValueError(f"{self.name} needs at least 1 sample, got 0; call update first")
        means = (self.sums / count).tolist()
        return self.numbers_of_means(dict(zip(self.column_names, means, strict=True)))


class SetMetric(NamedMetric):
    """A metric of all reconstructions together, compared to all originals if `compares` is set.

    Args:
        extractor: network that the features come from.

    Attributes:
        name: name of the metric.
        extractor: network that the features come from.
        compares: whether the features of the originals are needed as well.
        keeps_features: whether the features themselves are needed, beyond their moments.
    """

    extractor: Extractor
    compares: bool = True
    keeps_features: bool = False

    def __init__(self, extractor: Extractor) -> None:
        super().__init__()
        self.extractor = extractor
        for side in self._sides():
            if self.keeps_features:
                # One-dimensional, as what torchmetrics puts in for a rank without samples is
                self.add_state(f"{side}_features", [], dist_reduce_fx="cat")
                continue
            for name, value in FeatureStatistics(extractor.dim).moments().items():
                self.add_state(f"{side}_{name}", value, dist_reduce_fx="sum")

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

    def update(
        self,
        originals: Shaped[Tensor, "B 3 *frames H W"],
        reconstructions: Shaped[Tensor, "B 3 *frames H W"],
    ) -> None:
        """Add the features of a batch of clips (B, 3, T, H, W), or of images (B, 3, H, W).

        Args:
            originals: floats in [-1, 1], or uint8; ignored unless `compares` is set.
            reconstructions: floats, clamped to [-1, 1], or uint8; of the same shape.

        Raises:
            ValueError: another shape, or originals beyond [-1, 1].
            TypeError: other integers than uint8.
        """
        pair = pair_of_pixels(originals, reconstructions)
        before, after = pair.values(self.extractor.convention)
        self._add("reconstructions", self.extractor.features(after))
        if self.compares:
            self._add("originals", self.extractor.features(before))

    def local_values(self) -> dict[str, float]:
        """Return the metrics of this process's samples by name."""
        reconstructions = self._statistics("reconstructions")
        reason = self.unavailable_reason(reconstructions.count)
        if reason is not None:
            raise ValueError(f"{self.name} {reason}")
        originals = self._statistics("originals") if self.compares else reconstructions
        return self.numbers(originals, reconstructions)

    def _sides(self) -> tuple[Side, ...]:
        return ("originals", "reconstructions") if self.compares else ("reconstructions",)

    def _add(self, side: Side, features: Float32[Tensor, "B n D"]) -> None:
        """Add features of a side to its state."""
        if self.keeps_features:
            getattr(self, f"{side}_features").append(features.flatten().to(self.device, self.dtype))
            return
        batch = FeatureStatistics.of_features(features.flatten(0, 1))
        for name, value in batch.moments().items():
            state: Tensor = getattr(self, f"{side}_{name}")
            setattr(self, f"{side}_{name}", state + value.to(state))

    def _statistics(self, side: Side) -> FeatureStatistics:
        """Build the statistics of a side from its state."""
        if not self.keeps_features:
            state = {
                name: getattr(self, f"{side}_{name}").cpu() for name in FeatureStatistics.MOMENTS
            }
            return FeatureStatistics.from_state(state, keep=False)
        kept: Any = getattr(self, f"{side}_features")  # a tensor after a reduction over ranks
        features = torch.cat(kept) if isinstance(kept, list) and kept else torch.as_tensor(kept)
        return FeatureStatistics.of_features(features.float().cpu().view(-1, self.extractor.dim))


@torch.no_grad()
def value_of(
    metric: SampleMetric,
    originals: Shaped[Tensor, "B 3 *frames H W"],
    reconstructions: Shaped[Tensor, "B 3 *frames H W"],
    reduction: Literal["mean", "none"] = "mean",
) -> Float64[Tensor, "*B"]:
    """Compute a metric of one batch, without other ranks.

    Args:
        metric: a metric with a value per sample.
        originals: floats in [-1, 1], or uint8.
        reconstructions: floats, clamped to [-1, 1], or uint8; of the same shape.
        reduction: mean over the samples, or none for the value of each, (B,).

    Raises:
        ValueError: another shape or reduction, or originals beyond [-1, 1].
    """
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction must be mean or none, got {reduction!r}")
    columns = metric.measure(pair_of_pixels(originals, reconstructions))
    if reduction == "none":
        return columns[metric.name]
    return torch.tensor(metric.numbers(columns)[metric.name], dtype=torch.float64)


def value_of_set(
    metric: SetMetric,
    originals: Shaped[Tensor, "B 3 *frames H W"],
    reconstructions: Shaped[Tensor, "B 3 *frames H W"],
) -> Float64[Tensor, ""]:
    """Compute a metric of a set that fits into one batch, without other ranks.

    Raises:
        ValueError: another shape, originals beyond [-1, 1], or too few samples.
    """
    metric.update(originals, reconstructions)
    return metric.local_value()


def mean_over_frames(values: Shaped[Tensor, "frames"], num_clips: int) -> Column:
    """Average values of frames (B T,) over each clip, in double precision."""
    return values.double().view(num_clips, -1).mean(dim=1)
