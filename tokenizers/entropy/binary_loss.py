"""The losses of the binary family (LFQ, GQ, BSQ): commitment, and exact entropies per group.

With codes q = s sign(u), as in binary.py:

    commitment = mean (u - sg(q))^2                                                              (1)

The soft assignment of a group of d bits to its 2^d codes c is softmax_c(2 u.c / t). It factorizes
over the bits,

    P(bit j = 1) = sigmoid(l_j),    l_j = 4 s u_j / t                                            (2)

so that both entropies S and A of entropy_loss.py are exact at little cost: see binary_entropy.py.

    loss = entropy_weight (sample_entropy_weight S - codebook_entropy_weight A)
         + commitment_weight commitment                                                          (3)

Over groups, reduction "paper" (WeTok, arXiv 2508.05599) sums S and A, each group with its own
histogram; "reference" (WeTok's code) takes the mean of S and one histogram pooled over groups, to
which two collapsed but different groups look healthy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from .binary_entropy import bit_entropy, mean_assignment
from .entropy_loss import EntropyLoss, EntropyOptions

Reduction = Literal["paper", "reference"]

TERMS: tuple[str, ...] = ("commitment", "sample_entropy", "codebook_entropy")

# The largest codebook whose histogram is affordable: 2^24 codes are 64 MiB.
MAX_HISTOGRAM_BITS = 24


@dataclass(frozen=True)
class BinaryLoss(EntropyLoss):
    """Options and equations of the losses of the binary family.

    Args:
        reduction: "paper" sums the groups' entropies; "reference" pools them as WeTok's code does,
            which makes the term num_groups times weaker. For one group they are the same.
        commitment_weight: weight of the pull of latents towards their codes.
    """

    reduction: Reduction = "paper"
    commitment_weight: float = 0.25

    def __post_init__(self) -> None:
        """Check the values of the options.

        Raises:
            ValueError: the temperature is not positive, or the reduction is unknown.
        """
        super().__post_init__()
        if self.reduction not in ("paper", "reference"):
            raise ValueError(f"reduction must be paper or reference, got {self.reduction!r}")

    def check_groups(self, bits_per_group: Sequence[int]) -> None:
        """Raise unless the groups' histograms can be reduced as asked.

        Raises:
            ValueError: reduction "reference" and groups of unequal size.
        """
        if self.reduction == "reference" and len(set(bits_per_group)) > 1:
            raise ValueError(
                "reduction reference pools the groups' histograms, which must be of one size; "
                f"got bits_per_group={tuple(bits_per_group)}; use reduction paper"
            )

    def terms(
        self,
        u: Float[Tensor, "*batch dim"],
        q: Float[Tensor, "*batch dim"],
        scale: float,
        bits_per_group: Sequence[int],
    ) -> dict[str, Tensor]:
        """Return the unweighted terms of vectors `u` with codes `q` = `scale` sign(`u`).

        Raises:
            ValueError: a group's codebook is too large for a histogram.
        """
        # (1)
        commitment = (u - q).square().mean()
        sample = codebook = u.new_zeros(())
        if self.entropy_weight:
            # (2)
            logits = 4 * scale / self.temperature * u.reshape(-1, u.shape[-1])
            sample = self._sample_entropy(logits, len(bits_per_group))
            codebook = self._codebook_entropy(logits, bits_per_group)
        return {"commitment": commitment, "sample_entropy": sample, "codebook_entropy": codebook}

    def total(self, terms: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        """Return the weighted sum of the terms."""
        # (3)
        entropy = self.loss(terms["sample_entropy"], terms["codebook_entropy"])
        return entropy + self.commitment_weight * terms["commitment"]

    def _sample_entropy(self, logits: Float[Tensor, "N dim"], num_groups: int) -> Tensor:
        total = bit_entropy(logits).sum() / len(logits)
        return total / num_groups if self.reduction == "reference" else total

    def _codebook_entropy(
        self, logits: Float[Tensor, "N dim"], bits_per_group: Sequence[int]
    ) -> Tensor:
        largest = max(bits_per_group)
        if largest > MAX_HISTOGRAM_BITS:
            if self.codebook_entropy_weight == 0:
                return logits.new_zeros(())
            raise ValueError(
                f"the codebook entropy of {largest} bits in one group needs a histogram of "
                f"2^{largest} codes, the limit is 2^{MAX_HISTOGRAM_BITS}: split the bits into "
                "groups (kind gq), or set codebook_entropy_weight to 0"
            )
        if len(set(bits_per_group)) > 1:
            batches = [group.unsqueeze(0) for group in logits.split(list(bits_per_group), dim=-1)]
        else:
            groups = logits.unflatten(-1, (-1, largest)).transpose(0, 1)
            pooled = self.reduction == "reference"
            batches = [groups.reshape(1, -1, largest) if pooled else groups]
        total = logits.new_zeros(())
        for batch in batches:
            total = total + self.codebook_entropy(mean_assignment(batch)).sum()
        return total


class BinaryOptions(EntropyOptions, total=False):
    """The fields of `BinaryLoss`, for constructors that take them as keywords."""

    reduction: Reduction
    commitment_weight: float
