"""The families of published checkpoints that can be converted, by the name that users give."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ...component import did_you_mean
from .converter import Converter
from .wetok import WeTokConverter

CONVERTERS: dict[str, type[Converter]] = {"wetok": WeTokConverter}


def make_converter(family: str, options: Mapping[str, Any]) -> Converter:
    """The converter of a family.

    Args:
        family: one of `CONVERTERS`.
        options: of that family; None stands for its default.

    Raises:
        ValueError: an unknown family, or an option that it has no use for.
    """
    if family not in CONVERTERS:
        raise ValueError(
            f"family must be one of {', '.join(CONVERTERS)}, got {family!r}"
            f"{did_you_mean(family, CONVERTERS)}"
        )
    given = {name: value for name, value in options.items() if value is not None}
    converter: Any = CONVERTERS[family]
    known = {field.name for field in fields(converter)}
    for name in given.keys() - known:
        option = "--" + name.replace("_", "-")
        raise ValueError(f"{option} has no effect on {family}, which has {sorted(known)}")
    return converter(**given)
