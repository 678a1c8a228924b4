"""Finding: what one artifact test says about one subject."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import UInt8
from torch import Tensor


@dataclass(frozen=True)
class Finding:
    """The result of one test on one subject.

    Attributes:
        test: name of the test.
        tokenizer: name of the subject.
        numbers: what was measured, by name; names end in their unit.
        reading: one sentence that says what the numbers mean for this subject.
        unavailable: why there are no numbers; None where there are.
        image: something to look at, 8 bit.
    """

    test: str
    tokenizer: str
    numbers: Mapping[str, float]
    reading: str
    unavailable: str | None = None
    picture: UInt8[Tensor, "3 H W"] | None = field(default=None, repr=False)
