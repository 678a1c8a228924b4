"""Scores of one batch: all values that the metrics of an evaluation are computed from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from ..features.extractor import Extractor
from ..metrics.catalog import Metrics
from ..protocols.image_pair import Pair
from ..reconstructors.reconstructor import Reconstruction


@dataclass(frozen=True)
class Scores:
    """Values and features of a batch of samples.

    Attributes:
        positions: positions of the samples in the evaluation set.
        keys: names of the samples.
        columns: values per sample of the metrics, and rates of the codes.
        originals: features of the originals by extractor, if they were requested.
        reconstructions: features of the reconstructions by extractor.
        indices: indices of a discrete tokenizer, one tensor per grid.
    """

    positions: tuple[int, ...]
    keys: tuple[str, ...]
    columns: Mapping[str, Sequence[float]]
    originals: Mapping[str, Float32[Tensor, "B n D"]]
    reconstructions: Mapping[str, Float32[Tensor, "B n D"]]
    indices: tuple[Int64[Tensor, "B positions groups"], ...]

    def without(self, positions: Collection[int]) -> "Scores":
        """Return the scores of all samples except those at these positions."""
        rows = [i for i, position in enumerate(self.positions) if position not in positions]
        return Scores(
            positions=tuple(self.positions[i] for i in rows),
            keys=tuple(self.keys[i] for i in rows),
            columns={name: [values[i] for i in rows] for name, values in self.columns.items()},
            originals={name: features[rows] for name, features in self.originals.items()},
            reconstructions={
                name: features[rows] for name, features in self.reconstructions.items()
            },
            indices=tuple(grid[rows] for grid in self.indices),
        )


@torch.inference_mode()
def measure(
    *,
    positions: tuple[int, ...],
    keys: tuple[str, ...],
    clips: UInt8[Tensor, "B 3 T H W"],
    result: Reconstruction,
    metrics: Metrics,
    originals_for: Sequence[str],
    device: str,
) -> Scores:
    """Compute the values and features of every metric on one batch.

    Args:
        positions: positions of the samples in the evaluation set.
        keys: names of the samples.
        clips: the originals.
        result: their reconstruction.
        metrics: metrics to measure.
        originals_for: names of the extractors that also process the originals.
        device: device that metrics run on.
    """
    pixels = None if result.pixels is None else result.pixels.to(device)
    pair = Pair(clips.to(device), result.clips.to(device), pixels)
    columns: dict[str, list[float]] = _rates(result, len(keys))
    for metric in metrics.per_sample:
        columns |= {name: values.tolist() for name, values in metric.measure(pair).items()}
    originals: dict[str, Tensor] = {}
    reconstructions: dict[str, Tensor] = {}
    for extractor in metrics.extractors:
        before, after = pair.values(extractor.convention)
        reconstructions[extractor.name] = _features(extractor, after)
        if extractor.name in originals_for:
            originals[extractor.name] = _features(extractor, before)
    return Scores(
        positions=positions,
        keys=keys,
        columns=columns,
        originals=originals,
        reconstructions=reconstructions,
        indices=tuple(grid.flatten(1, 3).cpu() for grid in result.indices or ()),
    )


def _features(extractor: Extractor, clips: Tensor) -> Tensor:
    return extractor.features(clips).float().cpu()


def _rates(result: Reconstruction, count: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {}
    if result.bits_per_pixel is not None:
        rates["bits_per_pixel"] = list(result.bits_per_pixel)
    if result.stored_bits_per_pixel is not None:
        rates["stored_bits_per_pixel"] = list(result.stored_bits_per_pixel)
    if result.values_per_pixel is not None:
        rates["values_per_pixel"] = [result.values_per_pixel] * count
    return rates
