"""Strict reading of JSON files: what is damaged is reported by name, and never half believed."""

from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

Content = TypeVar("Content")

# For dataclasses that are read from JSON: exact types, no unknown keys.
STRICT = ConfigDict(extra="forbid", strict=True)

# Parsers by dataclass; to make one takes longer than to use it.
_parser = cache(TypeAdapter)


def read_json(path: Path, kind: type[Content]) -> Content:
    """Read a JSON file as a dataclass, with all of its fields and no others.

    Raises:
        ValueError: the file is damaged; with its path and the first reason.
    """
    return parse_json(path.read_bytes(), kind, str(path))


def parse_json(text: bytes, kind: type[Content], name: str) -> Content:
    """Parse JSON text as a dataclass; `name` is what an error calls the text.

    Raises:
        ValueError: the text is damaged; with the first reason.
    """
    try:
        return _parser(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
        raise ValueError(f"{name} is damaged ({reason})") from error
