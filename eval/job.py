"""The evaluation job: score tokenizers, run the diagnostics, write the report.

This is everything that `vistok eval` does, except parsing its options and printing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..data.sources.media import BadFile
from ..data.sources.source import Listing, list_source
from ..distributed import rank_and_world_size, torchrun_processes
from ..folder_lock import folder_lock
from ..output_file import check_output_folder
from ..rank_failure import failing_together, watch_ranks
from .diagnostics.battery import run_diagnostics
from .harness.evaluation import EvaluationOptions, open_evaluation
from .harness.partial_scores import remove_partial_scores
from .harness.reference_statistics import default_cache_folder
from .harness.row import Row, with_canonical
from .harness.score_all import score_all
from .metrics.names import default_metrics
from .protocols.protocol import CANONICAL, protocol_by_name
from .reconstructors.catalog import Scorable, open_all
from .report.report import Report, ReportFiles
from .report.sample_table import write_sample_table

PARTIAL_SCORES = ".vistok-eval-parts"
SAMPLE_TABLE = "samples.parquet"


@dataclass(frozen=True)
class MissingMetric:
    """A required metric that could not be computed.

    Attributes:
        tokenizer: name of the tokenizer.
        metric: name of the metric.
    """

    tokenizer: str
    metric: str


@dataclass(frozen=True)
class EvaluationResult:
    """The result of an evaluation job.

    Attributes:
        report: the report, with one row per tokenizer.
        files: files of the report.
        sample_table: Parquet file with the values of every sample.
        bad_files: files that could not be read, or are neither images nor videos.
        missing: required metrics that could not be computed.
    """

    report: Report
    files: ReportFiles
    sample_table: Path
    bad_files: tuple[BadFile, ...]
    missing: tuple[MissingMetric, ...]

    @property
    def rows(self) -> Sequence[Row]:
        """One row per tokenizer, in the order given."""
        return self.report.rows


def run_evaluation(
    source: str | Path | Listing,
    tokenizers: Scorable | Sequence[Scorable],
    output: Path,
    *,
    size: int = 256,
    frames: int | None = None,
    batch_size: int = 8,
    metrics: Sequence[str] | None = None,
    require: Sequence[str] = (),
    protocol: str = CANONICAL.name,
    limit: int | None = None,
    workers: int = 0,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    force: bool = False,
    cache: Path | None = None,
    battery: bool = False,
    show_progress: bool = False,
    on_row: Callable[[Row], None] | None = None,
) -> EvaluationResult:
    """Score tokenizers and write a report; called again, an interrupted evaluation resumes.

    In processes started by torchrun, every process must call this. They share the samples, and the
    first one writes the report.

    Args:
        source: images or videos; see `list_source`.
        tokenizers: names or Python objects; see `open_all`.
        output: folder of the report.
        size: side of the center crops, in pixels.
        frames: 1 scores images; a larger number scores the first frames of videos; None uses the
            protocol's default.
        batch_size: clips per batch; affects speed and memory. Libraries choose other convolution
            kernels for other batches, so scores may differ in the 7th digit.
        metrics: names from `METRICS`; None uses the default ones.
        require: metrics to compute in addition, and to list in the result if they are unavailable.
        protocol: name of the rules; rows under a preset also carry the canonical scores.
        limit: maximum number of files.
        workers: number of processes that read files.
        device: device that metrics run on, and tokenizers given by name.
        dtype: dtype of the weights of tokenizers given by name; the protocols require float32.
        seed: random seed of injected noise and of random subsets.
        force: whether to compute distances of too few samples.
        cache: folder of statistics of the originals; None uses the default folder.
        battery: whether to run the diagnostics.
        show_progress: whether to show progress bars on stderr.
        on_row: called with every row as soon as it is finished.

    Returns:
        The report and its files, unreadable files, and required metrics that are unavailable.

    Raises:
        ValueError: an unknown metric or protocol, nothing to score, a size a tokenizer cannot take,
            or an output folder that cannot be written or is in use.
        FileNotFoundError: there is no such tokenizer or folder.
        TypeError: an object that is not a tokenizer.
    """
    rules = protocol_by_name(protocol)
    clip_frames = rules.default_frames if frames is None else frames
    names = default_metrics(clip_frames) if metrics is None else metrics
    check_output_folder(output)
    with (
        folder_lock(output),
        failing_together(),
        torchrun_processes(device) as process_device,
    ):
        watch_ranks()
        is_first_rank = rank_and_world_size()[0] == 0
        listing = source if isinstance(source, Listing) else list_source(source)
        options = EvaluationOptions(
            size=size,
            frames=clip_frames,
            batch_size=batch_size,
            metrics=(*names, *require),
            limit=limit,
            workers=workers,
            device=process_device,
            seed=seed,
            force=force,
            fingerprints=True,
            examples=True,
            cache=cache or default_cache_folder(),
            partial_scores=output / PARTIAL_SCORES,
            show_progress=show_progress,
        )
        evaluation = open_evaluation(listing, protocol, options)
        reconstructors = open_all(tokenizers, process_device, dtype)
        rows = score_all(reconstructors, evaluation, on_row)
        findings = ()
        if is_first_rank:
            write_sample_table(output / SAMPLE_TABLE, rows)
        if is_first_rank and battery:
            findings = run_diagnostics(
                listing, reconstructors, size=size, frames=clip_frames, show_progress=show_progress
            )
        report = Report(listing.source, rules, rows, battery=findings)
        if is_first_rank:
            report.write(output)
            remove_partial_scores(rows)
    return EvaluationResult(
        report=report,
        files=ReportFiles.in_folder(output),
        sample_table=output / SAMPLE_TABLE,
        bad_files=_bad_files(rows),
        missing=_missing_metrics(rows, require),
    )


def _bad_files(rows: Sequence[Row]) -> tuple[BadFile, ...]:
    """Return the bad files of all rows, each once."""
    return tuple({bad.path: bad for row in with_canonical(rows) for bad in row.bad_files}.values())


def _missing_metrics(rows: Sequence[Row], require: Sequence[str]) -> tuple[MissingMetric, ...]:
    return tuple(
        MissingMetric(row.tokenizer, name)
        for row in rows
        for name in require
        if name not in row.metrics or name in row.unavailable
    )
