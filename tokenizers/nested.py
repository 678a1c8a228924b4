"""Bottlenecks made of bottlenecks: how Residual, MultiToken and DualPath build the ones inside."""

from collections.abc import Mapping
from typing import Any

from ..component import build
from .quantizer import Bottleneck, Quantizer


def build_inner(options: Mapping[str, Any], count: int, count_name: str) -> list[Quantizer]:
    """So many quantizers of the same options, each with weights of its own.

    Raises:
        ValueError: the options do not describe a quantizer, or there is none.
    """
    # the table names the quantizers that nest, which import this module
    from .bottlenecks import BOTTLENECKS

    if count < 1:
        raise ValueError(f"{count_name} must be >= 1, got {count}")
    inner = [build(BOTTLENECKS, options, "quantizer") for _ in range(count)]
    if not isinstance(inner[0], Quantizer):
        known = ", ".join(kind for kind, c in BOTTLENECKS.items() if issubclass(c, Quantizer))
        raise ValueError(
            f"quantizer.kind must be discrete, one of {known}; got {options['kind']!r}"
        )
    return inner


def build_continuous(options: Mapping[str, Any], where: str) -> Bottleneck:
    """One continuous bottleneck.

    Raises:
        ValueError: the options do not describe one.
    """
    from .bottlenecks import BOTTLENECKS

    bottleneck = build(BOTTLENECKS, options, where)
    if isinstance(bottleneck, Quantizer):
        known = ", ".join(k for k, c in BOTTLENECKS.items() if not issubclass(c, Quantizer))
        raise ValueError(
            f"{where}.kind must be continuous, one of {known}; got {options['kind']!r}"
        )
    return bottleneck
