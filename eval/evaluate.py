"""Evaluation from Python: scores as rows, and on request the report that `vistok eval` writes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ..data.sources.source import Listing
from .harness.evaluation import EvaluationOptions, open_evaluation
from .harness.row import Row
from .harness.rows import Rows
from .harness.score_all import score_all
from .job import run_evaluation
from .protocols.protocol import CANONICAL
from .reconstructors.catalog import Scorable, open_all


def evaluate(
    source: str | Path | Listing,
    tokenizers: Scorable | Sequence[Scorable],
    *,
    output: str | Path | None = None,
    size: int = 256,
    frames: int | None = None,
    batch_size: int = 8,
    metrics: Sequence[str] | None = None,
    protocol: str = CANONICAL.name,
    limit: int | None = None,
    workers: int = 0,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    force: bool = False,
    fingerprints: bool = True,
    examples: bool = True,
    cache: Path | None = None,
    partial_scores: Path | None = None,
    show_progress: bool = False,
    on_row: Callable[[Row], None] | None = None,
) -> Rows:
    """Score tokenizers on the images (or, with `frames` > 1, the videos) of a source.

    If `torch.distributed` is initialized, every rank must call this with the same arguments: the
    samples are divided among the ranks, and every rank returns the rows of all samples.

    Args:
        source: images or videos; see `list_source`.
        tokenizers: names, folders, tokenizers, or functions from pixels (B, 3, T, H, W) in [-1, 1]
            to pixels.
        output: folder to write report.json, report.md, report.html and samples.parquet to, as
            `vistok eval` does; an interrupted evaluation resumes from it.
        size: side of the center crops, in pixels.
        frames: 1 scores images; a larger number scores the first frames of videos; None uses the
            protocol's default.
        batch_size: clips per batch; affects speed and memory. Libraries choose other convolution
            kernels for other batches, so scores may differ in the 7th digit.
        metrics: names from `METRICS`; None uses the default ones.
        protocol: name of the rules; rows under a preset also carry the canonical scores.
        limit: maximum number of files.
        workers: number of processes that read files.
        device: device that metrics run on, and tokenizers given by name.
        dtype: dtype of the weights of tokenizers given by name; the protocols require float32.
        seed: random seed of injected noise and of random subsets.
        force: whether to compute distances of too few samples.
        fingerprints: whether to hash the weights of tokenizers, which takes a moment.
        examples: whether rows keep examples to look at.
        cache: folder of statistics of the originals, for this and later evaluations; None keeps
            none, or with `output` uses the default folder.
        partial_scores: folder where scores are stored during the evaluation: called again with the
            same arguments, an interrupted evaluation resumes from them. `remove_partial_scores`
            removes those of finished rows.
        show_progress: whether to show a progress bar on stderr.
        on_row: called with every row as soon as it is finished.

    Returns:
        One row per tokenizer, in order, with unique names; `to_pandas()` makes a table of them.

    Raises:
        ValueError: an unknown metric or protocol, nothing to score, a size a tokenizer cannot
            take, or an output folder that cannot be written or is in use.
        TypeError: an object that is not one of these kinds of tokenizers.

    Example:
        >>> from vistok import evaluate
        >>> rows = evaluate("samples:heldout", "identity", size=32, metrics=["ssim"], limit=1)
        >>> rows[0].metrics["ssim"]
        1.0
    """
    if output is not None:
        if not fingerprints or not examples or partial_scores is not None:
            raise ValueError(
                "fingerprints, examples and partial_scores have no effect with output: the report "
                "has all of them; leave them out"
            )
        result = run_evaluation(
            source,
            tokenizers,
            Path(output),
            size=size,
            frames=frames,
            batch_size=batch_size,
            metrics=metrics,
            protocol=protocol,
            limit=limit,
            workers=workers,
            device=device,
            dtype=dtype,
            seed=seed,
            force=force,
            cache=cache,
            show_progress=show_progress,
            on_row=on_row,
        )
        return Rows(result.rows)
    options = EvaluationOptions(
        size=size,
        frames=frames,
        batch_size=batch_size,
        metrics=metrics,
        limit=limit,
        workers=workers,
        device=device,
        seed=seed,
        force=force,
        fingerprints=fingerprints,
        examples=examples,
        cache=cache,
        partial_scores=partial_scores,
        show_progress=show_progress,
    )
    evaluation = open_evaluation(source, protocol, options)
    reconstructors = open_all(tokenizers, device, dtype)
    return Rows(score_all(reconstructors, evaluation, on_row))
