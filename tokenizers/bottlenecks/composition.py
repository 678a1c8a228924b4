"""Bottlenecks made of bottlenecks: the checks of the parts that a constructor is given."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import Field
from torch import nn

from ...size_limits import check_limits
from .bottleneck import Bottleneck, Quantizer

# Indices per position, far above any tokenizer.
MAX_GROUPS = 4096
Copies = Annotated[int, Field(ge=1, le=MAX_GROUPS)]

Part = TypeVar("Part", bound=Bottleneck)


def check_part(name: str, part: Any, base: type[Part], example: str) -> Part:
    """Return the part, a finished bottleneck.

    Args:
        name: the parameter that it was passed as.
        part: any value.
        base: class that it must derive from.
        example: a legal value, for the error message.

    Raises:
        ValueError: the part is something else.
    """
    if isinstance(part, base):
        return part
    raise ValueError(f"{name} must be a {base.__name__} such as {example}, got {_described(part)}")


def make_copies(quantizer: Callable[[], Quantizer], count: int, count_name: str) -> list[Quantizer]:
    """Call `quantizer` once for each of `count` quantizers, which share no weights.

    Raises:
        ValueError: `count` is below 1 or gives too many groups, or `quantizer` does not make a new
            quantizer per call, of the same sizes every time.
    """
    check_limits(count_name, count, MAX_GROUPS)
    example = "lambda: FSQ((8, 5, 5))"
    if not callable(quantizer) or isinstance(quantizer, nn.Module):
        raise ValueError(
            f"quantizer must be a function that makes a quantizer, such as {example}, "
            f"got {_described(quantizer)}"
        )
    first = quantizer()
    if isinstance(first, Quantizer):  # before the others are made: quantizers may be nested
        check_limits(
            f"the number of groups in all {count_name}", count * first.num_groups, MAX_GROUPS
        )
    copies = [first, *(quantizer() for _ in range(count - 1))]
    for copy in copies:
        if not isinstance(copy, Quantizer):
            raise ValueError(
                f"quantizer must make a Quantizer, as {example} does; it made {_described(copy)}"
            )
    if len({id(copy) for copy in copies}) < count:
        raise ValueError(
            f"quantizer must make a new quantizer at every call, as {example} does; "
            "it returned the same one twice"
        )
    sizes = {(copy.dim, copy.code_dim, copy.group_sizes) for copy in copies}
    if len(sizes) > 1:
        raise ValueError(
            "quantizer must make quantizers of the same sizes, "
            f"got (dim, code_dim, group_sizes) = {' and '.join(map(str, sorted(sizes)))}"
        )
    return copies


def _described(value: Any) -> str:
    """Return the type of a value in words, with advice where it is a mapping."""
    if isinstance(value, dict):
        return "a dict; mappings with a kind belong in configs"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"an object of type {type(value).__name__}"
