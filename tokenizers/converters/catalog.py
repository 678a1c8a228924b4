"""The supported families of published checkpoints, by their name on the command line."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ...option_errors import did_you_mean
from .converter import Converter
from .kl import KLConverter
from .onevae import OneVAEConverter
from .wan import WanConverter
from .wetok import WeTokConverter
from .wrapped import WrappedConverter

CONVERTERS: dict[str, type[Converter]] = {
    "diffusers": WrappedConverter,
    "kl": KLConverter,
    "onevae": OneVAEConverter,
    "wan": WanConverter,
    "wetok": WeTokConverter,
}


def make_converter(family: str, options: Mapping[str, Any], reverse: bool) -> Converter:
    """Make the converter of a family, for reading or, with `reverse`, for writing.

    Args:
        family: one of `CONVERTERS`.
        options: options of the family; None stands for the default.
        reverse: whether it is to write.

    Raises:
        ValueError: an unknown family, or an option that has no effect on it in this direction.
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
        has = ", ".join(sorted(known)) or "no options"
        raise ValueError(f"{option} has no effect on {family}, which has {has}")
    for name in given:
        if (name in converter.writing_options) != reverse:
            option, case = "--" + name.replace("_", "-"), "with" if reverse else "without"
            raise ValueError(f"{option} has no effect {case} --reverse")
    return converter(**given)
