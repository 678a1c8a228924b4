"""The entropy loss (arXiv 2310.05737): sure of the code of every vector, with all codes in use.

With p_n the soft assignment of vector n to the codes, a softmax at some temperature,

    S = mean over n of H(p_n)              low: every vector is sure of its code
    A = H(m),    m = mean over n of p_n    high: all codes are in use                            (1)

    loss = entropy_weight (sample_entropy_weight S - codebook_entropy_weight A)                  (2)

in nats, with H(p) = -sum p log p for S and -sum p log(p + eps) for A. The mean m runs over the
global batch. How p depends on the vectors is the quantizer's business: see binary_loss.py and
ibq.py.
"""

from dataclasses import dataclass
from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor

from ...distributed import all_reduce_mean


@dataclass(frozen=True)
class EntropyLoss:
    """Options and equations of the entropy loss.

    Args:
        temperature: temperature of the soft assignment behind the entropies.
        entropy_weight: weight of sample entropy - codebook entropy; 0 does not compute it.
        sample_entropy_weight: weight of the sample entropy within it.
        codebook_entropy_weight: weight of the codebook entropy within it.
        entropy_eps: added to probabilities in the logarithm of the codebook entropy. The default
            is the reference's; it biases codebooks of more than 2^16 codes.
    """

    temperature: float = 0.01
    entropy_weight: float = 0.1
    sample_entropy_weight: float = 1.0
    codebook_entropy_weight: float = 1.0
    entropy_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Check the values of the options.

        Raises:
            ValueError: the temperature is not positive.
        """
        if self.temperature <= 0:
            raise ValueError(f"temperature must be > 0, got {self.temperature}")

    def codebook_entropy(
        self, mean_assignment: Float[Tensor, "*groups codes"]
    ) -> Float[Tensor, "*groups"]:
        """Return A of this rank's mean assignments, each averaged over the ranks first."""
        # (1)
        m = all_reduce_mean(mean_assignment)
        return -(m * torch.log(m + self.entropy_eps)).sum(dim=-1)

    def loss(
        self, sample_entropy: Float[Tensor, ""], codebook_entropy: Float[Tensor, ""]
    ) -> Float[Tensor, ""]:
        """Return the weighted loss of the entropies S and A."""
        # (2)
        return self.entropy_weight * (
            self.sample_entropy_weight * sample_entropy
            - self.codebook_entropy_weight * codebook_entropy
        )


class EntropyOptions(TypedDict, total=False):
    """The fields of `EntropyLoss`, for constructors that take them as keywords."""

    temperature: float
    entropy_weight: float
    sample_entropy_weight: float
    codebook_entropy_weight: float
    entropy_eps: float
