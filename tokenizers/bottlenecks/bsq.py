"""Binary spherical quantization (BSQ, arXiv 2406.07548): signs on the unit sphere.

The equations are in binary.py, with d channels and

    u = x / |x|,    s = 1 / sqrt(d),    P(bit j = 1) = sigmoid(4 u_j / (sqrt(d) t))

so that codes lie on the sphere, too, and the distance between u and its code is bounded. With
t = 0.01 as in LFQ the sample entropy would start saturated at zero; t = 1 is the default.
"""

from math import sqrt
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .binary import Binary, check_bits
from .straight_through import MIN_NORM


class BSQ(Binary):
    """Binary spherical quantization.

    Args:
        bits: channels, each quantized to its sign on the unit sphere.
        num_groups: indices per vector; bits must be a multiple. More groups keep the histogram of
            the codebook entropy small, which is a sum over groups then.
        temperature: of the soft assignment behind the entropies.
        reduction: "paper" or "reference", see GQ; for one group they are the same.
        entropy_weight: weight of sample entropy - codebook entropy.
        sample_entropy_weight: weight of the first within it.
        codebook_entropy_weight: weight of the second within it.
        commitment_weight: weight of the pull of latents towards their codes.
        entropy_eps: added to probabilities in the logarithm of the codebook entropy.
    """

    def __init__(
        self,
        bits: int = 18,
        num_groups: int = 1,
        temperature: float = 1.0,
        reduction: Literal["paper", "reference"] = "paper",
        entropy_weight: float = 0.1,
        sample_entropy_weight: float = 1.0,
        codebook_entropy_weight: float = 1.0,
        commitment_weight: float = 0.25,
        entropy_eps: float = 1e-5,
    ) -> None:
        if num_groups < 1 or bits < 1 or bits % num_groups:
            raise ValueError(
                f"bits must be a positive multiple of num_groups, got {bits} and {num_groups}"
            )
        check_bits("bits" if num_groups == 1 else "bits / num_groups", bits // num_groups)
        super().__init__(
            bits_per_group=(bits // num_groups,) * num_groups,
            scale=1 / sqrt(bits),
            temperature=temperature,
            reduction=reduction,
            entropy_weight=entropy_weight,
            sample_entropy_weight=sample_entropy_weight,
            codebook_entropy_weight=codebook_entropy_weight,
            commitment_weight=commitment_weight,
            entropy_eps=entropy_eps,
        )

    def _direction(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return F.normalize(x, dim=-1, eps=MIN_NORM)
