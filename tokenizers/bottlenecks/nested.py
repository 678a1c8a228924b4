"""Bottlenecks made of bottlenecks: how Residual, MultiToken and DualPath build the ones inside."""

from collections.abc import Mapping
from typing import Any

from ...component import build
from .bottleneck import Bottleneck, Quantizer


def build_inner(options: Mapping[str, Any], count: int, count_name: str) -> list[Quantizer]:
    """So many quantizers of the same options, each with weights of its own.

    Raises:
        ValueError: the options do not describe a quantizer, or there is none.
    """
    if count < 1:
        raise ValueError(f"{count_name} must be >= 1, got {count}")
    return [build_quantizer(options) for _ in range(count)]


def build_quantizer(options: Mapping[str, Any]) -> Quantizer:
    """One quantizer.

    Raises:
        ValueError: the options do not describe one.
    """
    quantizer = _build(options, "quantizer", discrete=True)
    assert isinstance(quantizer, Quantizer), "discrete bottlenecks are"
    return quantizer


def build_continuous(options: Mapping[str, Any]) -> Bottleneck:
    """One continuous bottleneck.

    Raises:
        ValueError: the options do not describe one.
    """
    return _build(options, "continuous", discrete=False)


def _build(options: Mapping[str, Any], where: str, discrete: bool) -> Bottleneck:
    # the table names the bottlenecks that nest, which import this module
    from .catalog import BOTTLENECKS

    bottleneck = build(BOTTLENECKS, options, where)
    if isinstance(bottleneck, Quantizer) != discrete:
        kinds = (k for k, c in BOTTLENECKS.items() if issubclass(c, Quantizer) == discrete)
        raise ValueError(
            f"{where}.kind must be {'discrete' if discrete else 'continuous'}, "
            f"one of {', '.join(kinds)}; got {options['kind']!r}"
        )
    return bottleneck
