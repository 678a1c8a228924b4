"""Group-wise lookup-free quantization (GQ, WeTok, arXiv 2508.05599): groups of a few bits each.

The equations are in binary.py, with u = x and s = 1. The entropy of the product codebook falls
apart into the groups' entropies, whose histograms stay small however many bits there are together:
LFQ is one group, bitwise quantization has one bit per group.
"""

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from .binary import Binary, check_bits


class GQ(Binary):
    """Group-wise lookup-free quantization.

    Args:
        num_groups: indices per vector; None takes the length of `bits_per_group`, or 4.
        bits_per_group: channels of each group, one number for all, or one for each such as (6, 10).
        temperature: of the soft assignment behind the entropies.
        reduction: "paper" sums the groups' entropies; "reference" pools them as WeTok's code does,
            which makes the term num_groups times weaker.
        entropy_weight: weight of sample entropy - codebook entropy.
        sample_entropy_weight: weight of the first within it.
        codebook_entropy_weight: weight of the second within it.
        commitment_weight: weight of the pull of latents towards their codes.
        entropy_eps: added to probabilities in the logarithm of the codebook entropy.
    """

    def __init__(
        self,
        num_groups: int | None = None,
        bits_per_group: int | Sequence[int] = 8,
        temperature: float = 0.01,
        reduction: Literal["paper", "reference"] = "paper",
        entropy_weight: float = 0.1,
        sample_entropy_weight: float = 1.0,
        codebook_entropy_weight: float = 1.0,
        commitment_weight: float = 0.25,
        entropy_eps: float = 1e-5,
    ) -> None:
        super().__init__(
            bits_per_group=_bits_of_each(num_groups, bits_per_group),
            scale=1.0,
            temperature=temperature,
            reduction=reduction,
            entropy_weight=entropy_weight,
            sample_entropy_weight=sample_entropy_weight,
            codebook_entropy_weight=codebook_entropy_weight,
            commitment_weight=commitment_weight,
            entropy_eps=entropy_eps,
        )

    def _direction(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return x


def _bits_of_each(num_groups: int | None, bits_per_group: int | Sequence[int]) -> tuple[int, ...]:
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
