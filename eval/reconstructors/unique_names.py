"""Names of their own: of subjects with one name, the second is called `name (2)`.

Tokenizers given as Python objects are all called alike, and the same words may be given twice.
"""

from collections.abc import Sequence
from copy import copy

from .reconstructor import Reconstructor


def told_apart(reconstructors: Sequence[Reconstructor]) -> tuple[Reconstructor, ...]:
    """The subjects in order; those that need another name are shallow copies."""
    named: list[Reconstructor] = []
    names = distinct_names([reconstructor.name for reconstructor in reconstructors])
    for reconstructor, name in zip(reconstructors, names, strict=True):
        if reconstructor.name == name:
            named.append(reconstructor)
            continue
        renamed = copy(reconstructor)
        renamed.name = name
        named.append(renamed)
    return tuple(named)


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names in order, numbered where they came before."""
    distinct: dict[str, None] = {}
    for name in names:
        number, free = 1, name
        while free in distinct:
            number += 1
            free = f"{name} ({number})"
        distinct[free] = None
    return tuple(distinct)
