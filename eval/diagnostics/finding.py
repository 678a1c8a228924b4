"""Findings: the result of one diagnostic on one reconstructor."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import UInt8
from torch import Tensor


@dataclass(frozen=True)
class Finding:
    """The result of one diagnostic on one reconstructor.

    Attributes:
        test: name of the diagnostic.
        tokenizer: name of the reconstructor.
        numbers: measured values by name; names end in their unit.
        summary: one sentence that interprets the values for this reconstructor.
        unavailable: reason why there are no values; None if there are.
        image: 8-bit image that shows the artifact.
    """

    test: str
    tokenizer: str
    numbers: Mapping[str, float]
    summary: str
    unavailable: str | None = None
    image: UInt8[Tensor, "3 H W"] | None = field(default=None, repr=False)
