"""Scoring one reconstructor: read, reconstruct, measure, accumulate.

Worker processes read and decode files, and a thread measures one batch while the reconstructor
processes the next. The samples are divided among the ranks without padding, and the first rank
computes the row.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import torch

from ...data.evaluation_set import EvaluationBatch, evaluation_batches
from ...data.sources.media import BadFile, bad_lines
from ...distributed import rank_and_world_size, run_on_every_rank, run_on_main_process
from ...progress import ProgressLine
from ..reconstructors.reconstructor import Reconstruction, Reconstructor
from .accumulator import MetricAccumulator
from .aggregate import aggregate
from .evaluation import Evaluation
from .examples import select_examples
from .partial_scores import PartialScores, partial_scores_of, restore
from .row import Row
from .scores import Scores, measure
from .speed_and_memory import Clock, PeakMemory

# Number of batches that are timed, and not measured at the same time as others are reconstructed.
TIMED_BATCHES = 3


def score(reconstructor: Reconstructor, evaluation: Evaluation) -> Row:
    """Score one reconstructor; every rank must call this and gets the row.

    Returns:
        The row; only the first rank's has examples.

    Raises:
        ValueError: no file could be read.
    """
    dataset, options = evaluation.dataset, evaluation.options
    is_first_rank = rank_and_world_size()[0] == 0
    memory = PeakMemory(reconstructor.device)
    accumulator = MetricAccumulator(
        metrics=evaluation.metrics,
        group_sizes=reconstructor.group_sizes,
        originals_for=evaluation.references.missing(),
        pixels_per_sample=dataset.frames * dataset.size**2,
    )
    partial = partial_scores_of(reconstructor, evaluation)
    restored = restore(partial, accumulator)
    batches = _Batches(reconstructor, evaluation, tuple(accumulator.originals))

    def score_samples_of_rank() -> None:
        _accumulate(batches, _positions_of_rank(len(dataset), restored), accumulator, partial)
        if is_first_rank and restored and accumulator.samples.keys() <= restored:
            _time_again(batches, sorted(restored))

    run_on_every_rank(score_samples_of_rank)
    peak_memory = memory.bytes()
    total = accumulator.over_all_ranks()
    _check_any_scored(total, len(dataset))

    def finish() -> Row:
        evaluation.references.update(total.originals, complete=not total.bad)
        return aggregate(
            reconstructor=reconstructor,
            evaluation=evaluation,
            accumulator=total,
            clock=batches.clock,
            peak_memory_bytes=peak_memory,
            partial_scores=None if partial is None else partial.folder,
        )

    row = run_on_main_process(finish)
    if not (options.examples and is_first_rank):
        return row
    with _seeded(options.seed, reconstructor.device):
        return replace(row, examples=select_examples(reconstructor, dataset, total.samples))


class _Batches:
    """The batches of one reconstructor, reconstructed and measured; the first ones are timed.

    Args:
        reconstructor: reconstructor to score.
        evaluation: data, rules and metrics.
        originals_for: names of the extractors that also process the originals.
    """

    def __init__(
        self, reconstructor: Reconstructor, evaluation: Evaluation, originals_for: Sequence[str]
    ) -> None:
        self.reconstructor, self.evaluation = reconstructor, evaluation
        self.originals_for = originals_for
        self.clock = Clock()

    def scored(
        self, positions: Sequence[int]
    ) -> Iterator[tuple[Scores | None, tuple[BadFile, ...]]]:
        """Yield the scores and unreadable files of the samples at some positions, in order.

        After the timed batches, measuring overlaps with reconstructing the next batch.
        """
        options, dataset = self.evaluation.options, self.evaluation.dataset
        batches = evaluation_batches(dataset, options.batch_size, options.workers, positions)
        measuring: deque[Future[Scores]] = deque()
        with ThreadPoolExecutor(1, "metrics") as background:
            for number, batch in enumerate(batches):
                if batch.bad:
                    yield None, batch.bad
                if batch.clips is None:
                    continue
                is_timed = number < TIMED_BATCHES
                result = self._reconstruct(batch)
                if is_timed:
                    self.clock.add(result)
                measuring.append(background.submit(self._measure, batch, result))
                while len(measuring) > (0 if is_timed else 1):
                    yield measuring.popleft().result(), ()
            while measuring:
                yield measuring.popleft().result(), ()

    def _keys(self, batch: EvaluationBatch) -> tuple[str, ...]:
        return tuple(self.evaluation.dataset.files[position].key for position in batch.positions)

    def _reconstruct(self, batch: EvaluationBatch) -> Reconstruction:
        assert batch.clips is not None, "batches without clips are skipped"
        seed = self.evaluation.options.seed + batch.positions[0]
        with _seeded(seed, self.reconstructor.device):
            return self.reconstructor.reconstruct(batch.clips, self._keys(batch))

    def _measure(self, batch: EvaluationBatch, result: Reconstruction) -> Scores:
        assert batch.clips is not None, "batches without clips are skipped"
        return measure(
            positions=batch.positions,
            keys=self._keys(batch),
            clips=batch.clips,
            result=result,
            metrics=self.evaluation.metrics,
            originals_for=self.originals_for,
            device=self.evaluation.options.device,
        )


def _accumulate(
    batches: _Batches,
    positions: Sequence[int],
    accumulator: MetricAccumulator,
    partial: PartialScores | None,
) -> None:
    """Score the samples at some positions, and store their scores if they are to be kept."""
    progress = ProgressLine(
        f"scoring {batches.reconstructor.name}",
        len(positions),
        enabled=batches.evaluation.options.show_progress and rank_and_world_size()[0] == 0,
    )
    psnr: list[float] = []
    try:
        with progress:
            for scores, bad in batches.scored(positions):
                accumulator.bad += bad
                if scores is not None:
                    accumulator.add(scores)
                    if partial is not None:
                        partial.add(scores)
                    psnr += scores.columns.get("psnr", ())
                note = f"{sum(psnr) / len(psnr):.2f} dB" if psnr else None
                progress.advance(len(bad) + (len(scores.keys) if scores else 0), note)
    finally:
        if partial is not None:
            partial.write()


def _time_again(batches: _Batches, restored: Sequence[int]) -> None:
    """Time some samples again if all scores come from earlier runs.

    Times of an earlier run belong to another process, possibly on a busier machine.
    """
    for _ in batches.scored(restored[: TIMED_BATCHES * batches.evaluation.options.batch_size]):
        pass


def _positions_of_rank(count: int, restored: Collection[int]) -> list[int]:
    """Return this rank's share of the positions that are not restored: none twice, none padded."""
    rank, num_ranks = rank_and_world_size()
    return [position for position in range(count) if position not in restored][rank::num_ranks]


def _check_any_scored(total: MetricAccumulator, num_files: int) -> None:
    if not total.samples:
        raise ValueError(f"none of the {num_files} files could be read:{bad_lines(total.bad)}")


@contextmanager
def _seeded(seed: int, device: str) -> Iterator[None]:
    """Seed the noise of generative decoders in the block, then restore the random state."""
    torch_device = torch.device(device)
    devices = [torch_device] if torch_device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield
