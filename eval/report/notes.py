"""Notes on the scores: caveats, missing metrics, and files that were left out."""

from collections.abc import Sequence

from ..harness.row import Row, with_canonical
from ..metrics.catalog import NO_CODEBOOK


def notes(rows: Sequence[Row]) -> list[str]:
    """Return all notes on the rows and their canonical rows, each once, as plain text."""
    all_rows = list(with_canonical(rows))
    caveats = [f"* {note}" for note in caveat_notes(rows)]
    missing = {
        f"{name} is not measured: {reason}"
        for row in all_rows
        for name, reason in row.unavailable.items()
        if reason != NO_CODEBOOK
    }
    bad = {f"left out {bad.path}: {bad.reason}" for row in all_rows for bad in row.bad_files}
    return [*caveats, *sorted(missing), *sorted(bad)]


def caveat_notes(rows: Sequence[Row]) -> list[str]:
    """Return every caveat once, after the names of all metrics that it applies to."""
    names: dict[str, list[str]] = {}
    for row in with_canonical(rows):
        for name, reason in row.caveats.items():
            if name not in names.setdefault(reason, []):
                names[reason].append(name)
    return sorted(f"{', '.join(sorted(metrics))}: {reason}" for reason, metrics in names.items())
