"""Names of their own: of subjects with one name, the second is called `name (2)`.

Tokenizers given as Python objects are all called alike, and the same words may be given twice.
"""

from collections.abc import Sequence
from copy import copy

from .reconstructor import Subject


def told_apart(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """The subjects in order; those that need another name are shallow copies."""
    named: list[Subject] = []
    names = distinct_names([subject.name for subject in subjects])
    for subject, name in zip(subjects, names, strict=True):
        if subject.name == name:
            named.append(subject)
            continue
        renamed = copy(subject)
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
