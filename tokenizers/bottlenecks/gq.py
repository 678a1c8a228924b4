"""Group-wise lookup-free quantization (GQ, WeTok, arXiv 2508.05599): groups of a few bits each.

The equations are in binary.py, with u = x and s = 1. The entropy of the product codebook is the sum
of the groups' entropies, whose histograms stay small whatever the total number of bits: LFQ is one
group, bitwise quantization has one bit per group.
"""

from collections.abc import Sequence
from typing import Unpack

from jaxtyping import Float
from torch import Tensor

from ..entropy.binary_loss import BinaryOptions
from .binary import Binary, check_bits


class GQ(Binary):
    """Group-wise lookup-free quantization, with the options of `BinaryLoss` as further keywords.

    Args:
        num_groups: indices per vector; None takes the length of `bits_per_group`, or 4.
        bits_per_group: channels of each group, one number for all, or one for each such as (6, 10).

    Example:
        >>> import torch
        >>> from vistok import GQ
        >>> gq = GQ(num_groups=4, bits_per_group=8).eval()
        >>> out = gq(torch.zeros(2, 16, 16, gq.dim))
        >>> out.indices.shape, gq.codebook_size
        (torch.Size([2, 16, 16, 4]), 256)
    """

    def __init__(
        self,
        num_groups: int | None = None,
        bits_per_group: int | Sequence[int] = 8,
        **keywords: Unpack[BinaryOptions],
    ) -> None:
        super().__init__(_bits_of_each(num_groups, bits_per_group), scale=1.0, **keywords)

    def _direction(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return x


def _bits_of_each(num_groups: int | None, bits_per_group: int | Sequence[int]) -> tuple[int, ...]:
    """Return the bits of each group, checked."""
    if num_groups is not None and num_groups < 1:
        raise ValueError(f"num_groups must be >= 1, got {num_groups}")
    if isinstance(bits_per_group, int):
        each = (bits_per_group,) * (4 if num_groups is None else num_groups)
    else:
        each = tuple(bits_per_group)
        if not each or num_groups not in (None, len(each)):
            raise ValueError(
                f"bits_per_group must name the bits of each of the {num_groups or 'groups'}"
                f"{' groups' if num_groups else ''}, got {each}"
            )
    for bits in each:
        check_bits("bits_per_group", bits)
    return each
