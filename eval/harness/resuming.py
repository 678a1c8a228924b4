"""Which stored scores belong to an evaluation, and adding them up again."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from importlib.metadata import version

from ...distributed import from_first_rank, world
from ..reconstructors.function import Function
from ..reconstructors.reconstructor import Subject
from .accumulator import Tally
from .evaluation import Evaluation
from .partial_scores import Parts
from .result import Row, with_canonical


def parts_of(subject: Subject, evaluation: Evaluation) -> Parts | None:
    """Where a subject's scores lie; None where none are kept.

    Nothing tells whether a Python function still is the same one, so its scores are not kept.
    """
    if evaluation.parts is None or isinstance(subject, Function):
        return None
    return Parts(evaluation.parts / _job_hash(subject, evaluation))


def restore(parts: Parts | None, tally: Tally) -> frozenset[int]:
    """Add up what earlier runs have scored, on the first rank.

    Returns:
        The positions that are done, on every rank.
    """
    if parts is not None and world()[0] == 0:
        for scores in parts.read(tuple(tally.originals)):
            # Parts overlap where a run passed over those that lack features it needs.
            tally.add(scores.without(tally.samples))
    return from_first_rank(frozenset(tally.samples))


def remove_parts(rows: Sequence[Row]) -> None:
    """Remove the stored scores of finished rows, and the folder around them where it is empty.

    Parts of other evaluations that were stopped stay, and so does whatever else lies there.
    """
    folders = {row.parts for row in with_canonical(rows) if row.parts is not None}
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    for parent in {folder.parent for folder in folders}:
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()


def _job_hash(subject: Subject, evaluation: Evaluation) -> str:
    """A hash of all that the scores of a subject depend on."""
    metrics, dataset = evaluation.metrics, evaluation.dataset
    facts = {
        "versions": [version("vistok"), version("torch")],
        "subject": [subject.name, subject.fingerprint, subject.settings],
        "device": [subject.device, subject.dtype, evaluation.device],
        "files": evaluation.version,
        "shape": [dataset.frames, dataset.size],
        "protocol": evaluation.protocol.to_json(),
        "metrics": [metric.name for metric in metrics.per_sample],
        "weights": metrics.weights,
        "seed": evaluation.seed,
        "batch_size": evaluation.batch_size,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
