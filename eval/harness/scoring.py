"""One subject through one evaluation: read, reconstruct, measure, add up.

Worker processes read and decode, and a thread measures one batch while the subject reconstructs the
next. Ranks share the samples out, none gets a padded one, and the first rank divides.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import torch

from ...data.evaluation_set import evaluation_batches
from ...data.sources.media import BadFile
from ...distributed import rank_and_world_size, run_on_main_process
from ...progress import ProgressLine
from ..reconstructors.reconstructor import Reconstructor
from .accumulator import MetricAccumulator
from .aggregate import aggregate
from .evaluation import Evaluation
from .examples import select_examples
from .partial_scores import PartialScores, partial_scores_of, restore
from .row import Row
from .scores import Scores, measure
from .speed_and_memory import Clock, PeakMemory

# Speed is taken from so many batches, during which nothing is measured.
TIMED_BATCHES = 3


def score(reconstructor: Reconstructor, evaluation: Evaluation) -> Row:
    """Score one subject; every rank must call this, and gets the row (images on the first only).

    Raises:
        ValueError: no file could be read.
    """
    dataset = evaluation.dataset
    memory, clock = PeakMemory(reconstructor.device), Clock()
    accumulator = MetricAccumulator(
        evaluation.metrics,
        reconstructor.group_sizes,
        evaluation.references.missing(),
        dataset.frames * dataset.size**2,
    )
    parts = partial_scores_of(reconstructor, evaluation)
    restored = restore(parts, accumulator)
    _score_share(
        reconstructor, evaluation, _share(len(dataset), restored), accumulator, clock, parts
    )
    if rank_and_world_size()[0] == 0 and restored and accumulator.samples.keys() <= restored:
        _time(reconstructor, evaluation, sorted(restored), accumulator, clock)
    peak = memory.bytes()
    total = accumulator.over_all_ranks()
    if not total.samples:
        reasons = "; ".join(f"{bad.path}: {bad.reason}" for bad in total.bad[:3])
        raise ValueError(f"none of the {len(dataset)} files could be read ({reasons})")

    def finish() -> Row:
        evaluation.references.learn(total.originals, complete=not total.bad)
        row = aggregate(reconstructor, evaluation, total, clock, peak)
        return row if parts is None else replace(row, parts=parts.folder)

    row = run_on_main_process(finish)
    if not evaluation.with_pictures or rank_and_world_size()[0] > 0:
        return row
    with _seeded(evaluation.seed, reconstructor.device):
        return replace(row, pictures=select_examples(reconstructor, dataset, total.samples))


def _share(count: int, restored: Collection[int]) -> list[int]:
    """This rank's positions among those that are still to be scored: none twice, none padded."""
    rank, num_ranks = rank_and_world_size()
    return [position for position in range(count) if position not in restored][rank::num_ranks]


def _score_share(
    reconstructor: Reconstructor,
    evaluation: Evaluation,
    positions: Sequence[int],
    accumulator: MetricAccumulator,
    clock: Clock,
    parts: PartialScores | None,
) -> None:
    """Score the samples at some positions."""
    progress = ProgressLine(
        f"scoring {reconstructor.name}",
        len(positions),
        enabled=evaluation.show_progress and rank_and_world_size()[0] == 0,
    )
    watched: list[float] = []
    try:
        with progress:
            for scores, bad in _scored_batches(
                reconstructor, evaluation, positions, accumulator, clock
            ):
                accumulator.bad += bad
                if scores is not None:
                    accumulator.add(scores)
                    if parts is not None:
                        parts.add(scores)
                    watched += scores.columns.get("psnr", ())
                note = f"{sum(watched) / len(watched):.2f} dB" if watched else None
                progress.advance(len(bad) + (len(scores.keys) if scores else 0), note)
    finally:
        if parts is not None:
            parts.write()


def _time(
    reconstructor: Reconstructor,
    evaluation: Evaluation,
    restored: Sequence[int],
    accumulator: MetricAccumulator,
    clock: Clock,
) -> None:
    """Score some samples again for speed and memory only, where all scores come from earlier runs.

    What was measured then belongs to another process, and maybe to a busier machine.
    """
    again = restored[: TIMED_BATCHES * evaluation.batch_size]
    for _ in _scored_batches(reconstructor, evaluation, again, accumulator, clock):
        pass


def _scored_batches(
    reconstructor: Reconstructor,
    evaluation: Evaluation,
    positions: Sequence[int],
    accumulator: MetricAccumulator,
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
            with _seeded(evaluation.seed + batch.positions[0], reconstructor.device):
                result = reconstructor.reconstruct(batch.clips, keys)
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
                    tuple(accumulator.originals),
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
