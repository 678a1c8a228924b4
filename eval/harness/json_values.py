"""Floating-point values as JSON stores them: null for infinity and NaN.

An infinite value of the name `psnr` is null, with `"psnr_infinite": true` beside it.
"""

from collections.abc import Mapping
from math import inf, nan
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from ...output_file import finite_numbers

_SUFFIX = "_infinite"


def _from_json(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Restore named values; the sign of infinity is not stored."""
    flags = {name for name, value in stored.items() if name.endswith(_SUFFIX) and value is True}
    return {
        name: value if value is not None else inf if name + _SUFFIX in flags else nan
        for name, value in stored.items()
        if name not in flags
    }


def _interval_to_json(interval: tuple[float, float]) -> tuple[float | None, float | None]:
    low, high = finite_numbers({"low": interval[0], "high": interval[1]}, False).values()
    return low, high


def _interval_from_json(stored: Any) -> tuple[float, float]:
    low, high = (nan if end is None else end for end in stored)
    return low, high


NamedValues = Annotated[
    dict[str, float],
    BeforeValidator(_from_json),
    PlainSerializer(finite_numbers, return_type=dict[str, float | bool | None]),
]

# The key of a sample and its values.
SampleValues = Annotated[
    dict[str, str | float],
    BeforeValidator(_from_json),
    PlainSerializer(finite_numbers, return_type=dict[str, str | bool | float | None]),
]

Interval = Annotated[
    tuple[float, float],
    BeforeValidator(_interval_from_json),
    PlainSerializer(_interval_to_json, return_type=tuple[float | None, float | None]),
]
