"""The binary family (LFQ, GQ, BSQ): the sign of every channel, and losses that keep it alive.

Channels are split into contiguous groups; each group of d bits is one index.

    q = s sign(u),    sign(u) = +1 where u > 0 else -1                                           (1)
    index of a group = sum_j [u_j > 0] 2^j,    least significant bit first                       (2)

where u is the latent x and s = 1, except on the sphere of BSQ. The gradient passes (1) unchanged.
The losses are in entropy/binary_loss.py.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Unpack

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..entropy.binary_loss import TERMS, BinaryLoss, BinaryOptions
from ..gradients.straight_through import straight_through
from .bottleneck import MAX_BITS, Quantized, Quantizer

# The number of bits whose powers of two add up exactly in fp32.
EXACT_BITS = 24


class Binary(Quantizer):
    """Base class of LFQ, GQ and BSQ, which differ in `u` and `s` of Eq. (1) and in their groups.

    Args:
        bits_per_group: bits of each group, in the order of the channels.
        scale: s of Eq. (1), the absolute value of every code.
        keywords: options of `BinaryLoss`.
    """

    keywords: ClassVar[type[BinaryLoss]] = BinaryLoss
    idempotent = True

    def __init__(
        self, bits_per_group: Sequence[int], scale: float, **keywords: Unpack[BinaryOptions]
    ) -> None:
        super().__init__()
        self.losses = self.keywords(**keywords)
        self.losses.check_groups(bits_per_group)
        self.dim = self.code_dim = sum(bits_per_group)
        self.bits_per_group = tuple(bits_per_group)
        self.group_sizes = tuple(2**bits for bits in bits_per_group)
        self.scale = scale

    @property
    def residual_scale(self) -> float:
        """One half, so that the stages of a residual quantizer count in binary."""
        return 0.5

    @abstractmethod
    def _direction(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Return the vectors `u` of Eq. (1)."""

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        u = self._direction(x)
        # [u > 0] as numbers: sign and clamp are vectorized, comparing and casting are not
        bits = u.detach().sign().clamp_min_(0)
        # (1)
        q = bits.mul(2 * self.scale).sub_(self.scale)
        if self.training:
            terms = self.losses.terms(u, q, self.scale, self.bits_per_group)
        else:
            terms = dict.fromkeys(TERMS, u.new_zeros(()))
        loss = self.losses.total(terms)
        return Quantized(straight_through(u, q), self._indices(bits), loss, terms)

    def _indices(self, bits: Float[Tensor, "*batch dim"]) -> Int64[Tensor, "*batch num_groups"]:
        groups = bits.split(self.bits_per_group, dim=-1)
        return torch.stack([_index(group) for group in groups], dim=-1)

    def indices_to_codes(
        self, indices: Int64[Tensor, "*batch num_groups"]
    ) -> Float[Tensor, "*batch dim"]:
        """Return the codes of the given indices, fp32."""
        self.check_indices(indices)
        groups = [
            index.unsqueeze(-1) >> torch.arange(bits, device=indices.device) & 1
            for index, bits in zip(indices.unbind(-1), self.bits_per_group, strict=True)
        ]
        return self.scale * (2 * torch.cat(groups, dim=-1) - 1).float()


def check_bits(name: str, bits: int) -> None:
    """Raise unless the index of a group of `bits` bits fits into int64."""
    if not 1 <= bits <= MAX_BITS:
        raise ValueError(f"{name} must be from 1 to {MAX_BITS}, got {bits}")


def _index(bits: Float[Tensor, "*batch bits"]) -> Int64[Tensor, "*batch"]:
    """Return the index (2) of one group, summed in fp32, which is fast, up to 24 bits at a time."""
    parts = [
        (part @ _powers_of_two(part)).long() * 2 ** (EXACT_BITS * i)
        for i, part in enumerate(bits.split(EXACT_BITS, dim=-1))
    ]
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(dim=0)


def _powers_of_two(bits: Float[Tensor, "*batch bits"]) -> Float[Tensor, "bits"]:
    return torch.exp2(torch.arange(bits.shape[-1], device=bits.device, dtype=bits.dtype))
