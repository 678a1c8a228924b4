"""Final metrics from the accumulated values; every sum is divided here, once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ...tokenizers.code_statistics import CodeUse
from ..metrics.bootstrap import bootstrap_interval
from ..metrics.catalog import NO_CODEBOOK
from ..metrics.feature_statistics import FeatureStatistics
from ..metrics.metric import SampleMetric, SetMetric
from ..reconstructors.reconstructor import Reconstructor
from .accumulator import MetricAccumulator, Statistics
from .evaluation import Evaluation
from .row import Row
from .speed_and_memory import Clock

# Number of codes per group whose shares a row lists.
CODE_RANKS = 64

# The field of a row that is computed from the entropy of the codes.
RATE_OF_ENTROPY = "empirical_bits_per_pixel"


@dataclass(frozen=True)
class MetricResults:
    """Metrics of one kind, with the reasons for missing and doubtful ones.

    Attributes:
        values: metrics by name.
        unavailable: metrics without a value, each with the reason.
        caveats: metrics that cannot be taken at face value, each with the reason.
    """

    values: dict[str, float] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    caveats: dict[str, str] = field(default_factory=dict)


def aggregate(
    *,
    reconstructor: Reconstructor,
    evaluation: Evaluation,
    accumulator: MetricAccumulator,
    clock: Clock,
    peak_memory_bytes: int | None,
    partial_scores: Path | None,
) -> Row:
    """Compute the row of one reconstructor.

    Args:
        reconstructor: reconstructor that was scored.
        evaluation: the evaluation it was scored in.
        accumulator: accumulated values of all ranks.
        clock: times of the first rank.
        peak_memory_bytes: peak memory of the first rank.
        partial_scores: folder of its stored scores.
    """
    metrics, options = evaluation.metrics, evaluation.options
    columns = accumulator.columns()
    code_use = accumulator.codes.use() if accumulator.codes.group_sizes else None
    samples = sample_results(metrics.per_sample, columns)
    sets = set_results(metrics.per_set, evaluation.references.known, accumulator.reconstructions)
    codes = codebook_results(metrics.codebook, code_use, accumulator.codes.few_vectors())
    values = {**samples.values, **sets.values, **codes.values}
    caveats = {**samples.caveats, **sets.caveats, **codes.caveats}
    return Row(
        tokenizer=reconstructor.name,
        num_samples=len(accumulator.samples),
        size=evaluation.dataset.size,
        frames=evaluation.dataset.frames,
        protocol=evaluation.protocol,
        metrics=values,
        intervals=bootstrap_intervals(metrics.per_sample, columns, options.seed),
        unavailable={**metrics.unavailable, **sets.unavailable, **codes.unavailable},
        caveats=_with_dtype_caveat(caveats, values, reconstructor.dtype),
        bits_per_pixel=_mean(columns, "bits_per_pixel"),
        empirical_bits_per_pixel=code_use and code_use.effective_bits_per_pixel,
        stored_bits_per_pixel=_mean(columns, "stored_bits_per_pixel"),
        values_per_pixel=_mean(columns, "values_per_pixel"),
        code_use=code_use,
        code_ranks=accumulator.codes.ranked_shares(CODE_RANKS) if code_use else (),
        settings=reconstructor.settings,
        parameters=reconstructor.parameters,
        fingerprint=reconstructor.fingerprint if options.fingerprints else None,
        extractors=metrics.weights,
        device=reconstructor.device,
        dtype=reconstructor.dtype,
        seed=options.seed,
        encode_samples_per_second=clock.per_second(clock.encode_seconds),
        decode_samples_per_second=clock.per_second(clock.decode_seconds),
        peak_memory_bytes=peak_memory_bytes,
        per_sample=tuple(accumulator.samples.values()),
        bad_files=(*evaluation.skipped, *accumulator.bad),
        partial_scores=partial_scores,
    )


def sample_results(metrics: Sequence[SampleMetric], columns: Mapping[str, Tensor]) -> MetricResults:
    """Compute the metrics with a value per sample.

    Args:
        metrics: opened metrics.
        columns: values of all samples by column.
    """
    results = MetricResults()
    for metric in metrics:
        results.values.update(metric.numbers(columns))
        caveat = metric.caveat(columns)
        if caveat is not None:
            results.caveats[metric.name] = caveat
    return results


def set_results(
    metrics: Sequence[SetMetric], originals: Statistics, reconstructions: Statistics
) -> MetricResults:
    """Compute the metrics of whole sets.

    Args:
        metrics: opened metrics.
        originals: feature statistics of the originals by extractor.
        reconstructions: feature statistics of the reconstructions by extractor.
    """
    results = MetricResults()
    for metric in metrics:
        ours = reconstructions[metric.extractor.name]
        theirs = originals.get(metric.extractor.name, ours)
        reason = metric.unavailable_reason(ours.count) or _mismatch(metric, theirs, ours)
        if reason is not None:
            results.unavailable[metric.name] = reason
            continue
        results.values.update(metric.numbers(theirs, ours))
        caveats = [c for c in (metric.caveat(ours.count), metric.extractor.caveat) if c]
        if caveats:
            results.caveats[metric.name] = "; ".join(caveats)
    return results


def codebook_results(
    names: Sequence[str], code_use: CodeUse | None, caveat: str | None = None
) -> MetricResults:
    """Select the codebook metrics of these names, which need a codebook.

    Args:
        names: metrics to select.
        code_use: metrics of the codebooks, if there are any.
        caveat: why they, and the rate from the entropy, cannot be taken at face value.
    """
    if code_use is None:
        return MetricResults(unavailable=dict.fromkeys(names, NO_CODEBOOK))
    values = {name: code_use.means[name] for name in names}
    if caveat is None:
        return MetricResults(values)
    return MetricResults(values, caveats=dict.fromkeys((*names, RATE_OF_ENTROPY), caveat))


def bootstrap_intervals(
    metrics: Sequence[SampleMetric], columns: Mapping[str, Tensor], seed: int
) -> dict[str, tuple[float, float]]:
    """Compute the interval of the mean of every metric whose values are finite.

    Args:
        metrics: opened metrics.
        columns: values of all samples by column.
        seed: random seed of the resampling.
    """
    intervals = {m.name: bootstrap_interval(columns[m.name], seed) for m in metrics}
    return {name: interval for name, interval in intervals.items() if interval is not None}


def _mismatch(
    metric: SetMetric, originals: FeatureStatistics, reconstructions: FeatureStatistics
) -> str | None:
    if not metric.compares or originals.count == reconstructions.count:
        return None
    return (
        f"has {originals.count} features of originals but {reconstructions.count} of "
        "reconstructions, because some files could be read only once; run the evaluation again"
    )


def _mean(columns: Mapping[str, Tensor], name: str) -> float | None:
    return columns[name].mean().item() if name in columns else None


def _with_dtype_caveat(
    caveats: Mapping[str, str], metrics: Collection[str], dtype: str | None
) -> dict[str, str]:
    """Add a caveat to every metric unless the weights were float32, as protocols require."""
    if dtype in (None, "float32"):
        return dict(caveats)
    reason = f"the weights were in {dtype}; the protocol requires float32"
    return {
        **dict.fromkeys(metrics, reason),
        **{name: f"{caveat}; {reason}" for name, caveat in caveats.items()},
    }
