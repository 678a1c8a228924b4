"""From a tally to a row: every sum is divided here, once."""

from collections.abc import Collection, Mapping

from ..reconstructors.reconstructor import Reconstructor
from .accumulator import MetricAccumulator
from .evaluation import Evaluation
from .row import Row
from .speed_and_memory import Clock

# Codes whose shares are listed one by one, the most frequent first.
CODE_RANKS = 64


def aggregate(
    reconstructor: Reconstructor,
    evaluation: Evaluation,
    accumulator: MetricAccumulator,
    clock: Clock,
    peak: int | None,
) -> Row:
    """The row of one subject.

    Args:
        reconstructor: what was scored.
        evaluation: under which rules.
        accumulator: of all ranks.
        clock: of the first rank.
        peak: memory in bytes, of the first rank.
    """
    codes, without_codes = accumulator.code_numbers()
    sets = accumulator.set_numbers(evaluation.references.known)
    use = accumulator.codes.use() if accumulator.codes.group_sizes else None
    metrics = {**accumulator.sample_numbers(), **sets.numbers, **codes}
    return Row(
        tokenizer=reconstructor.name,
        num_samples=len(accumulator.samples),
        size=evaluation.dataset.size,
        frames=evaluation.dataset.frames,
        protocol=evaluation.protocol,
        metrics=metrics,
        intervals=accumulator.intervals(evaluation.seed),
        unavailable={**evaluation.metrics.unavailable, **sets.unavailable, **without_codes},
        caveats=_with_dtype(
            {**accumulator.sample_caveats(), **sets.caveats}, metrics, reconstructor.dtype
        ),
        bits_per_pixel=accumulator.mean("bits_per_pixel"),
        empirical_bits_per_pixel=use and use.effective_bits_per_pixel,
        stored_bits_per_pixel=accumulator.mean("stored_bits_per_pixel"),
        values_per_pixel=accumulator.mean("values_per_pixel"),
        code_use=use,
        code_ranks=accumulator.codes.ranked_shares(CODE_RANKS) if use else (),
        parameters=reconstructor.parameters,
        fingerprint=reconstructor.fingerprint if evaluation.with_fingerprints else None,
        settings=reconstructor.settings,
        extractors=evaluation.metrics.weights,
        device=reconstructor.device,
        dtype=reconstructor.dtype,
        seed=evaluation.seed,
        encode_samples_per_second=clock.per_second(clock.encode_seconds),
        decode_samples_per_second=clock.per_second(clock.decode_seconds),
        peak_memory_bytes=peak,
        per_sample=tuple(accumulator.samples.values()),
        bad_files=(*evaluation.skipped, *accumulator.bad),
        pictures=(),
    )


def _with_dtype(
    caveats: Mapping[str, str], metrics: Collection[str], dtype: str | None
) -> dict[str, str]:
    """The caveats, and one on every number of weights that are not what all protocols mean."""
    if dtype in (None, "float32"):
        return dict(caveats)
    reason = f"the weights were in {dtype}; the protocol means float32"
    return {
        **dict.fromkeys(metrics, reason),
        **{name: f"{caveat}; {reason}" for name, caveat in caveats.items()},
    }
