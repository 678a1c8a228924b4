"""The maximum number of entries that a single small input may declare.

A Parquet table of nulls or a brace pattern of a few bytes can declare billions of files; they are
counted before memory is taken.
"""

import os

MAX_ENTRIES = 5_000_000
VARIABLE = "VISTOK_MAX_ENTRIES"


def check_entries(name: str, count: int) -> None:
    """Raise unless a pattern or table declares an accepted number of entries.

    Raises:
        ValueError: it declares more, or the environment variable is not a number.
    """
    if count > (limit := max_entries()):
        raise ValueError(
            f"{name}: declares {count} entries, more than the maximum of {limit}; divide it, or "
            f"set the environment variable {VARIABLE} to a higher number"
        )


def max_entries() -> int:
    """Return the maximum number of rows of a table, or of names of a brace pattern."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return MAX_ENTRIES
    if not text.isdecimal():
        raise ValueError(f"{VARIABLE} must be a number of files, got {text!r}")
    return int(text)
