"""Lookup-free quantization (LFQ, MAGVIT-v2, arXiv 2310.05737): one group of bits, one index.

The equations are in binary.py, with u = x and s = 1.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from .binary import Binary, check_bits


class LFQ(Binary):
    """Lookup-free quantization.

    Args:
        bits: channels, each quantized to its sign; the codebook has 2^bits codes.
        temperature: of the soft assignment behind the entropies.
        reduction: "paper" or "reference"; for one group they are the same.
        entropy_weight: weight of sample entropy - codebook entropy.
        sample_entropy_weight: weight of the first within it.
        codebook_entropy_weight: weight of the second within it.
        commitment_weight: weight of the pull of latents towards their codes.
        entropy_eps: added to probabilities in the logarithm of the codebook entropy.
    """

    def __init__(
        self,
        bits: int = 18,
        temperature: float = 0.01,
        reduction: Literal["paper", "reference"] = "paper",
        entropy_weight: float = 0.1,
        sample_entropy_weight: float = 1.0,
        codebook_entropy_weight: float = 1.0,
        commitment_weight: float = 0.25,
        entropy_eps: float = 1e-5,
    ) -> None:
        check_bits("bits", bits)
        super().__init__(
            bits_per_group=(bits,),
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
