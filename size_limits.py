"""Limits of the sizes in configs: far above any network, far below what exhausts the memory.

A typing error or a hostile config is thereby refused at once, by the name of its key. Annotations
with these types carry the limits into config validation and the JSON schema; constructors call
`check_limits`, for callers in Python.
"""

from typing import Annotated

from pydantic import Field

MAX_CHANNELS = 2**16
MAX_BLOCKS = 1000
MAX_STAGES = 200
MAX_FACTOR = 64
MAX_HALVINGS = 12

Channels = Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
Factor = Annotated[int, Field(ge=1, le=MAX_FACTOR)]
Halvings = Annotated[int, Field(ge=1, le=MAX_HALVINGS)]


def check_limits(name: str, value: int, high: int, low: int = 1) -> None:
    """Raise unless a size lies within its limits, both included."""
    if value < low:
        raise ValueError(f"{name} must be >= {low}, got {value}")
    if value > high:
        raise ValueError(f"{name} must be <= {high}, got {value}")
