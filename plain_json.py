"""JSON that every reader accepts: infinity and NaN have no word in it, so they become null."""

import json
from collections.abc import Mapping
from math import isinf, isnan
from typing import Any


def dumps(value: Any, indent: int | None = 1) -> str:
    """Write JSON, refusing infinity and NaN that nobody has dealt with."""
    return json.dumps(value, indent=indent, allow_nan=False)


def finite_numbers(values: Mapping[str, Any], flag_infinite: bool = True) -> dict[str, Any]:
    """The values with null for infinity and NaN, and `<name>_infinite: true` beside infinity."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        broken = isinstance(value, float) and (isinf(value) or isnan(value))
        plain[name] = None if broken else value
        if broken and isinf(value) and flag_infinite:
            plain[f"{name}_infinite"] = True
    return plain
