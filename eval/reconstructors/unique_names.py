"""Unique names: a repeated name becomes `name (2)`.

Tokenizers given as Python objects all have the same name, and one argument may be given twice.
"""

from collections.abc import Sequence
from copy import copy

from .reconstructor import Reconstructor


def with_unique_names(reconstructors: Sequence[Reconstructor]) -> tuple[Reconstructor, ...]:
    """Return the reconstructors in order; those with a repeated name as renamed shallow copies."""
    renamed: list[Reconstructor] = []
    names = unique_names([reconstructor.name for reconstructor in reconstructors])
    for reconstructor, name in zip(reconstructors, names, strict=True):
        if reconstructor.name != name:
            reconstructor = copy(reconstructor)
            reconstructor.name = name
        renamed.append(reconstructor)
    return tuple(renamed)


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names in order, with a number appended to repeated ones."""
    unique: dict[str, None] = {}
    for name in names:
        number, free = 1, name
        while free in unique:
            number += 1
            free = f"{name} ({number})"
        unique[free] = None
    return tuple(unique)
