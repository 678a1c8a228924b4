"""One subject through one evaluation: read, reconstruct, measure, add up.

Worker processes read and decode, and a thread measures one batch while the subject reconstructs the
next. Ranks share the samples out, none gets a padded one, and the first rank divides.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from ..data.evaluation_set import EvaluationSet, evaluation_batches
from ..data.media import BadFile
from ..progress import ProgressLine
from ..tokenizers.all_ranks import from_first_rank, world
from .metrics import Metrics
from .peak_memory import PeakMemory
from .pictures import chosen_pictures
from .protocol import Protocol
from .reference import References
from .row import Row
from .scores import Scores, measure
from .subjects.subject import Reconstruction, Subject
from .tally import Tally

# Speed is taken from so many batches, during which nothing is measured.
TIMED_BATCHES = 3

CODE_RANKS = 64


@dataclass(frozen=True)
class Evaluation:
    """What all subjects of one evaluation share.

    Attributes:
        dataset: the originals.
        skipped: files of the source that are neither images nor videos.
        protocol: the rules.
        metrics: what is measured.
        references: statistics of the originals, once they are known.
        batch_size: clips per batch.
        workers: reading processes.
        device: where metrics run.
        seed: of injected noise and of random subsets.
        with_fingerprints: whether the subjects' weights are hashed.
        with_pictures: whether pictures are kept to look at.
        show_progress: whether to show a bar on stderr.
    """

    dataset: EvaluationSet
    skipped: Sequence[BadFile]
    protocol: Protocol
    metrics: Metrics
    references: References
    batch_size: int
    workers: int
    device: str
    seed: int
    with_fingerprints: bool
    with_pictures: bool
    show_progress: bool


@dataclass
class Clock:
    """Seconds of the batches that had the machine for themselves."""

    samples: int = 0
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0

    def add(self, result: Reconstruction) -> None:
        """Count one batch, where it says how long it took."""
        if result.encode_seconds is not None and result.decode_seconds is not None:
            self.samples += len(result.clips)
            self.encode_seconds += result.encode_seconds
            self.decode_seconds += result.decode_seconds

    def per_second(self, seconds: float) -> float | None:
        """Samples per second; None where nothing was timed."""
        return self.samples / seconds if seconds else None


def score(subject: Subject, evaluation: Evaluation) -> Row:
    """Score one subject; every rank must call this, and gets the row (pictures on the first only).

    Raises:
        ValueError: no file could be read.
    """
    rank, num_ranks = world()
    dataset, metrics = evaluation.dataset, evaluation.metrics
    memory, clock = PeakMemory(subject.device), Clock()
    tally = Tally(
        metrics,
        subject.group_sizes,
        evaluation.references.missing(metrics),
        dataset.frames * dataset.size**2,
    )
    _score_share(subject, evaluation, range(rank, len(dataset), num_ranks), tally, clock)
    peak = memory.bytes()
    total = tally.over_all_ranks()
    if not total.samples:
        reasons = "; ".join(f"{bad.path}: {bad.reason}" for bad in total.bad[:3])
        raise ValueError(f"none of the {len(dataset)} files could be read ({reasons})")
    if rank > 0:
        return from_first_rank(None)  # pyright: ignore[reportReturnType]
    evaluation.references.learn(total.originals, complete=not total.bad)
    row = _row(subject, evaluation, total, clock, peak)
    from_first_rank(row)
    if not evaluation.with_pictures:
        return row
    with _seeded(evaluation.seed, subject.device):
        return replace(row, pictures=chosen_pictures(subject, dataset, total.samples))


def _score_share(
    subject: Subject,
    evaluation: Evaluation,
    positions: Sequence[int],
    tally: Tally,
    clock: Clock,
) -> None:
    """Score the samples at some positions."""
    progress = ProgressLine(
        f"scoring {subject.name}", len(positions), enabled=evaluation.show_progress
    )
    with progress:
        for scores, bad in _scored_batches(subject, evaluation, positions, tally, clock):
            tally.bad += bad
            if scores is not None:
                tally.add(scores)
            progress.advance(len(bad) + (len(scores.keys) if scores else 0))


def _scored_batches(
    subject: Subject,
    evaluation: Evaluation,
    positions: Sequence[int],
    tally: Tally,
    clock: Clock,
) -> Iterator[tuple[Scores | None, tuple[BadFile, ...]]]:
    """Batch by batch in order; after the timed ones, measuring overlaps reconstructing."""
    dataset = evaluation.dataset
    batches = evaluation_batches(dataset, evaluation.batch_size, evaluation.workers, positions)
    waiting: deque[Future[Scores]] = deque()
    with ThreadPoolExecutor(1, "metrics") as background:
        for number, batch in enumerate(batches):
            if batch.bad:
                yield None, batch.bad
            if batch.clips is None:
                continue
            timed = number < TIMED_BATCHES
            keys = tuple(dataset.files[position].key for position in batch.positions)
            with _seeded(evaluation.seed + batch.positions[0], subject.device):
                result = subject.reconstruct(batch.clips, keys)
            if timed:
                clock.add(result)
            waiting.append(
                background.submit(
                    measure,
                    batch.positions,
                    keys,
                    batch.clips,
                    result,
                    evaluation.metrics,
                    tuple(tally.originals),
                    evaluation.device,
                )
            )
            while len(waiting) > (0 if timed else 1):
                yield waiting.popleft().result(), ()
        while waiting:
            yield waiting.popleft().result(), ()


@contextmanager
def _seeded(seed: int, device: str) -> Iterator[None]:
    """Decoders that inject noise draw the same every time; the caller's random state is kept."""
    place = torch.device(device)
    devices = [place] if place.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def _row(
    subject: Subject, evaluation: Evaluation, tally: Tally, clock: Clock, peak: int | None
) -> Row:
    """Divide."""
    codes, without_codes = tally.code_numbers()
    sets = tally.set_numbers(evaluation.references.known)
    use = tally.codes.use() if tally.codes.group_sizes else None
    return Row(
        tokenizer=subject.name,
        num_samples=len(tally.samples),
        size=evaluation.dataset.size,
        frames=evaluation.dataset.frames,
        protocol=evaluation.protocol,
        metrics={**tally.sample_numbers(), **sets.numbers, **codes},
        intervals=tally.intervals(evaluation.seed),
        unavailable={**evaluation.metrics.unavailable, **sets.unavailable, **without_codes},
        caveats=sets.caveats,
        bits_per_pixel=tally.mean("bits_per_pixel"),
        empirical_bits_per_pixel=use and use.effective_bits_per_pixel,
        stored_bits_per_pixel=tally.mean("stored_bits_per_pixel"),
        values_per_pixel=tally.mean("values_per_pixel"),
        code_use=use,
        code_ranks=tally.codes.ranked_shares(CODE_RANKS) if use else (),
        parameters=subject.parameters,
        fingerprint=subject.fingerprint if evaluation.with_fingerprints else None,
        settings=subject.settings,
        extractors={
            extractor.name: extractor.sha256 for extractor in evaluation.metrics.extractors
        },
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
