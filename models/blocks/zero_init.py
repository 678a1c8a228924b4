"""zero_init: start a residual branch at zero, so that the block begins as the identity."""

from typing import TypeVar

from torch import nn

Layer = TypeVar("Layer", bound=nn.Module)


def zero_init(layer: Layer) -> Layer:
    """Set every parameter of `layer` to zero and return it."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
