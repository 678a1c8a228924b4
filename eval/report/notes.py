"""What one must know to read the scores: caveats, what is missing, files that were left out."""

from collections.abc import Sequence

from ..harness.row import Row, with_canonical
from ..metrics.catalog import NO_CODEBOOK


def notes(rows: Sequence[Row], star: str = "*") -> list[str]:
    """Everything once, canonical rows included.

    Args:
        rows: of the table.
        star: how the mark of a caveat is spelt.
    """
    everything = list(with_canonical(rows))
    caveats = [f"{star} {note}" for note in caveat_notes(rows)]
    missing = {
        f"{name} is not measured: {reason}"
        for row in everything
        for name, reason in row.unavailable.items()
        if reason != NO_CODEBOOK
    }
    bad = {f"left out {bad.path}: {bad.reason}" for row in everything for bad in row.bad_files}
    return [*caveats, *sorted(missing), *sorted(bad)]


def caveat_notes(rows: Sequence[Row]) -> list[str]:
    """Every reason once, behind the names of all metrics that it holds for."""
    names: dict[str, list[str]] = {}
    for row in with_canonical(rows):
        for name, reason in row.caveats.items():
            if name not in names.setdefault(reason, []):
                names[reason].append(name)
    return sorted(f"{', '.join(sorted(found))}: {reason}" for reason, found in names.items())
