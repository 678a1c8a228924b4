"""Binary spherical quantization (BSQ, arXiv 2406.07548): signs on the unit sphere.

The equations are in binary.py and entropy/binary_loss.py, with d channels and

    u = x / |x|,    s = 1 / sqrt(d),    P(bit j = 1) = sigmoid(4 u_j / (sqrt(d) t))

so that codes lie on the sphere, too, and the distance between u and its code is bounded.
"""

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar, Unpack

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..entropy.binary_loss import BinaryLoss, BinaryOptions
from ..gradients.straight_through import MIN_NORM
from .binary import Binary, check_bits


@dataclass(frozen=True)
class SphericalLoss(BinaryLoss):
    """`BinaryLoss` at temperature 1: at 0.01 the sample entropy would start saturated at zero."""

    temperature: float = 1.0


class BSQ(Binary):
    """Binary spherical quantization, with the options of `SphericalLoss` as further keywords.

    Args:
        bits: channels, each quantized to its sign on the unit sphere.
        num_groups: indices per vector; bits must be a multiple. More groups keep the histogram of
            the codebook entropy small, which is then a sum over groups.

    Example:
        >>> import torch
        >>> from vistok import BSQ
        >>> out = BSQ(bits=4).eval()(torch.tensor([[0.3, -0.1, 2.0, -5.0]]))
        >>> out.codes  # on the unit sphere
        tensor([[ 0.5000, -0.5000,  0.5000, -0.5000]])
    """

    keywords: ClassVar[type[BinaryLoss]] = SphericalLoss

    def __init__(
        self, bits: int = 18, num_groups: int = 1, **keywords: Unpack[BinaryOptions]
    ) -> None:
        if num_groups < 1 or bits < 1 or bits % num_groups:
            raise ValueError(
                f"bits must be a positive multiple of num_groups, got {bits} and {num_groups}"
            )
        check_bits("bits" if num_groups == 1 else "bits / num_groups", bits // num_groups)
        super().__init__((bits // num_groups,) * num_groups, scale=1 / sqrt(bits), **keywords)

    def _direction(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return F.normalize(x, dim=-1, eps=MIN_NORM)
