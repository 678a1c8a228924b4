"""Rows: the result of an evaluation, a list that can be turned into a pandas table."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .row import Row


class Rows(list[Row]):
    """The rows of an evaluation, in the order of the tokenizers."""

    def to_pandas(self) -> Any:
        """Return a DataFrame with a line per tokenizer: its metrics, and its other single values.

        Raises:
            ImportError: pandas is not installed; vistok does not need it otherwise.
        """
        try:
            from pandas import DataFrame  # pyright: ignore[reportMissingImports] - optional
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install pandas") from error
        return DataFrame([_line(row) for row in self])


def _line(row: Row) -> Mapping[str, Any]:
    """Return the single values of a row by name, its metrics where the row has them."""
    line: dict[str, Any] = {}
    for one in fields(row):
        value = getattr(row, one.name)
        if one.name == "metrics":
            line |= value
        elif one.name == "protocol":
            line["protocol"] = value.name
        elif value is None or isinstance(value, str | int | float):
            line[one.name] = value
    for name in ("code_use", "canonical", "partial_scores"):
        line.pop(name, None)
    return line
