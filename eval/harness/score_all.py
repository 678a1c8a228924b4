"""The evaluation harness: the same images through every reconstructor, under one protocol's rules.

Given the same reconstructed pixels, a metric depends neither on the batch size nor on the order of
the source nor on the number of processes: values are kept per sample, moments are summed in
float64, and both are divided once.

The metrics are those of `vistok.metrics`. The harness calls their arithmetic (`measure`, `numbers`)
and not their states: it needs the values of every sample for reports, intervals and resuming, and
shares features and the statistics of the originals among metrics and reconstructors.

    evaluate                                                         ../evaluate.py
      open_evaluation        data, rules, metrics                    evaluation.py
      open_all               names and objects to reconstructors     reconstructors/catalog.py
      score_all
        score                one reconstructor                       scoring.py
          reconstruct, measure, add                                  scores.py, accumulator.py
          aggregate          the row                                 aggregate.py
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..reconstructors.reconstructor import Reconstructor
from .evaluation import Evaluation
from .row import Row
from .scoring import score


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
