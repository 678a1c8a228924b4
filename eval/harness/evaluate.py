"""The evaluation harness: the same images through every reconstructor, under one protocol's rules.

Given the same reconstructed pixels, a metric depends neither on the batch size nor on the order of
the source nor on the number of processes: values are kept per sample, moments are summed in
float64, and both are divided once.

The metrics are those of `vistok.metrics`. The harness calls their arithmetic (`measure`, `numbers`)
and not their states: it needs the values of every sample for reports, intervals and resuming, and
shares features and the statistics of the originals among metrics and reconstructors.

    evaluate
      open_evaluation        data, rules, metrics                    evaluation.py
      open_all               names and objects to reconstructors     reconstructors/catalog.py
      score_all
        score                one reconstructor                       scoring.py
          reconstruct, measure, add                                  scores.py, accumulator.py
          aggregate          the row                                 aggregate.py
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ...data.sources.source import Listing
from ..protocols.protocol import CANONICAL
from ..reconstructors.catalog import Scorable, open_all
from ..reconstructors.reconstructor import Reconstructor
from .evaluation import Evaluation, EvaluationOptions, open_evaluation
from .row import Row
from .scoring import score


def evaluate(
    source: str | Path | Listing,
    tokenizers: Scorable | Sequence[Scorable],
    *,
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
) -> list[Row]:
    """Score tokenizers on the images (or, with `frames` > 1, the videos) of a source.

    If `torch.distributed` is initialized, every rank must call this with the same arguments: the
    samples are divided among the ranks, and every rank returns the rows of all samples.

    Args:
        source: images or videos; see `list_source`.
        tokenizers: names, folders, tokenizers, or functions from pixels (B, 3, T, H, W) in [-1, 1]
            to pixels.
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
        cache: folder of statistics of the originals, for this and later evaluations.
        partial_scores: folder where scores are stored during the evaluation: called again with the
            same arguments, an interrupted evaluation resumes from them. `remove_partial_scores`
            removes those of finished rows.
        show_progress: whether to show a progress bar on stderr.
        on_row: called with every row as soon as it is finished.

    Returns:
        One row per tokenizer, in order, with unique names.

    Raises:
        ValueError: an unknown metric or protocol, nothing to score, or a size a tokenizer cannot
            take.
        TypeError: an object that is not one of these kinds of tokenizers.
    """
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
    return score_all(reconstructors, evaluation, on_row)


def score_all(
    reconstructors: Sequence[Reconstructor],
    evaluation: Evaluation,
    on_row: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Score reconstructors one after the other; every rank must call this.

    Args:
        reconstructors: reconstructors with unique names.
        evaluation: data, rules and metrics.
        on_row: called with every row as soon as it is finished.

    Returns:
        One row per reconstructor, in order; a preset's row carries its canonical row.
    """
    keys = [file.key for file in evaluation.dataset.files]
    for reconstructor in reconstructors:
        reconstructor.check(keys)
    rows: list[Row] = []
    for reconstructor in reconstructors:
        row = score(reconstructor, evaluation)
        # Existing reconstructions belong to the crops of one protocol only.
        if evaluation.canonical is not None and reconstructor.accepts_any_input:
            row = replace(row, canonical=score(reconstructor, evaluation.canonical))
        rows.append(row)
        if on_row is not None:
            on_row(row)
    return rows
