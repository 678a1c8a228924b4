"""From a tally to a row: every sum is divided here, once."""

from collections.abc import Collection, Mapping

from ..reconstructors.reconstructor import Subject
from .accumulator import Tally
from .evaluation import Evaluation
from .result import Row
from .speed_and_memory import Clock

# Codes whose shares are listed one by one, the most frequent first.
CODE_RANKS = 64


def divide(
    subject: Subject, evaluation: Evaluation, tally: Tally, clock: Clock, peak: int | None
) -> Row:
    """The row of one subject.

    Args:
        subject: what was scored.
        evaluation: under which rules.
        tally: of all ranks.
        clock: of the first rank.
        peak: memory in bytes, of the first rank.
    """
    codes, without_codes = tally.code_numbers()
    sets = tally.set_numbers(evaluation.references.known)
    use = tally.codes.use() if tally.codes.group_sizes else None
    metrics = {**tally.sample_numbers(), **sets.numbers, **codes}
    return Row(
        tokenizer=subject.name,
        num_samples=len(tally.samples),
        size=evaluation.dataset.size,
        frames=evaluation.dataset.frames,
        protocol=evaluation.protocol,
        metrics=metrics,
        intervals=tally.intervals(evaluation.seed),
        unavailable={**evaluation.metrics.unavailable, **sets.unavailable, **without_codes},
        caveats=_with_dtype({**tally.sample_caveats(), **sets.caveats}, metrics, subject.dtype),
        bits_per_pixel=tally.mean("bits_per_pixel"),
        empirical_bits_per_pixel=use and use.effective_bits_per_pixel,
        stored_bits_per_pixel=tally.mean("stored_bits_per_pixel"),
        values_per_pixel=tally.mean("values_per_pixel"),
        code_use=use,
        code_ranks=tally.codes.ranked_shares(CODE_RANKS) if use else (),
        parameters=subject.parameters,
        fingerprint=subject.fingerprint if evaluation.with_fingerprints else None,
        settings=subject.settings,
        extractors=evaluation.metrics.weights,
        device=subject.device,
        dtype=subject.dtype,
        seed=evaluation.seed,
        encode_samples_per_second=clock.per_second(clock.encode_seconds),
        decode_samples_per_second=clock.per_second(clock.decode_seconds),
        peak_memory_bytes=peak,
        per_sample=tuple(tally.samples.values()),
        bad_files=(*evaluation.skipped, *tally.bad),
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
