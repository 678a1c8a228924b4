"""The binary family (LFQ, GQ, BSQ): the sign of every channel, and entropies that keep it alive.

Channels are split into contiguous groups; each group of d bits is one index.

    q = s sign(u),    sign(u) = +1 where u > 0 else -1                                           (1)
    index of a group = sum_j [u_j > 0] 2^j,    least significant bit first                       (2)
    commitment = mean (u - sg(q))^2                                                              (3)

where u is the latent x and s = 1, except on the sphere of BSQ. The gradient passes (1) unchanged.
The soft assignment of a group to its 2^d codes c is softmax_c(2 u.c / t). It factorises:

    P(bit j = 1) = sigmoid(4 s u_j / t)                                                          (4)

    S = mean over vectors of the assignment's entropy        (low: every vector is sure of its code)
    A = entropy of the mean assignment, -sum p log(p + eps)  (high: all codes are in use)
    loss = entropy_weight (sample_entropy_weight S - codebook_entropy_weight A)
         + commitment_weight commitment                                                          (5)

Both are exact (see binary_entropy.py). Over groups, reduction "paper" (WeTok, arXiv 2508.05599)
sums S and A, each group with its own histogram; "reference" (WeTok's code) takes the mean of S and
one histogram pooled over groups, to which two collapsed but different groups look healthy. The
batch of A is the global batch.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ...distributed import all_reduce_mean
from .binary_entropy import bit_entropy, mean_assignment, negative_plogp
from .bottleneck import MAX_BITS, Quantized, Quantizer
from .straight_through import straight_through

Reduction = Literal["paper", "reference"]

# Bits that a fp32 sum of distinct powers of two holds exactly.
EXACT_BITS = 24
# The largest codebook whose histogram is affordable: 2^24 codes are 64 MiB.
MAX_HISTOGRAM_BITS = 24


class Binary(Quantizer):
    """What LFQ, GQ and BSQ share.

    Args:
        bits_per_group: bits of each group, in the order of the channels.
        scale: s of (1), the absolute value of every code.
        temperature: t of (4).
        reduction: how entropies of groups are put together, "paper" or "reference".
        entropy_weight: weight of the entropy term; 0 does not compute it.
        sample_entropy_weight: weight of S within it.
        codebook_entropy_weight: weight of A within it.
        commitment_weight: weight of (3).
        entropy_eps: eps of A. 1e-5 is the reference's; it biases codebooks of more than 2^16 codes.
    """

    idempotent = True

    def __init__(
        self,
        bits_per_group: Sequence[int],
        scale: float,
        temperature: float,
        reduction: Reduction,
        entropy_weight: float,
        sample_entropy_weight: float,
        codebook_entropy_weight: float,
        commitment_weight: float,
        entropy_eps: float,
    ) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be > 0, got {temperature}")
        if reduction not in ("paper", "reference"):
            raise ValueError(f"reduction must be paper or reference, got {reduction!r}")
        if reduction == "reference" and len(set(bits_per_group)) > 1:
            raise ValueError(
                "reduction reference pools the groups' histograms, which must be of one size; "
                f"got bits_per_group={tuple(bits_per_group)}; use reduction paper"
            )
        self.dim = self.code_dim = sum(bits_per_group)
        self.bits_per_group = tuple(bits_per_group)
        self.group_sizes = tuple(2**bits for bits in bits_per_group)
        self.scale, self.temperature, self.reduction = scale, temperature, reduction
        self.entropy_weight = entropy_weight
        self.sample_entropy_weight = sample_entropy_weight
        self.codebook_entropy_weight = codebook_entropy_weight
        self.commitment_weight = commitment_weight
        self.entropy_eps = entropy_eps

    @property
    def residual_scale(self) -> float:
        """Halves, so that the stages of a residual quantizer count in binary."""
        return 0.5

    @abstractmethod
    def _direction(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """U of the equations."""

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        u = self._direction(x)
        # [u > 0] as numbers: sign and clamp run vectorised where comparing and casting do not
        bits = u.detach().sign().clamp_min_(0)
        # (1)
        q = bits.mul(2 * self.scale).sub_(self.scale)
        loss, terms = self._losses(u, q)
        return Quantized(straight_through(u, q), self._indices(bits), loss, terms)

    def _indices(self, bits: Float[Tensor, "*batch dim"]) -> Int64[Tensor, "*batch num_groups"]:
        # (2) in floating point, which is faster and exact for up to 24 bits
        groups = bits.split(self.bits_per_group, dim=-1)
        return torch.stack([_word(group) for group in groups], dim=-1)

    def indices_to_codes(
        self, indices: Int64[Tensor, "*batch num_groups"]
    ) -> Float[Tensor, "*batch dim"]:
        """Codes of the given indices, fp32."""
        self.check_indices(indices)
        groups = [
            index.unsqueeze(-1) >> torch.arange(bits, device=indices.device) & 1
            for index, bits in zip(indices.unbind(-1), self.bits_per_group, strict=True)
        ]
        return self.scale * (2 * torch.cat(groups, dim=-1) - 1).float()

    # ---- losses ---------------------------------------------------------------------------------

    def _losses(self, u: Tensor, q: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        zero = u.new_zeros(())
        commitment = sample = codebook = zero
        if self.training:
            # (3)
            commitment = (u - q).square().mean()
            if self.entropy_weight:
                sample, codebook = self._entropies(u.reshape(-1, self.dim))
        # (5)
        entropy = self.sample_entropy_weight * sample - self.codebook_entropy_weight * codebook
        loss = self.entropy_weight * entropy + self.commitment_weight * commitment
        terms = {
            "commitment": commitment,
            "sample_entropy": sample,
            "codebook_entropy": codebook,
        }
        return loss, terms

    def _entropies(self, u: Float[Tensor, "N dim"]) -> tuple[Tensor, Tensor]:
        # (4)
        logits = 4 * self.scale / self.temperature * u
        sample = bit_entropy(logits).sum() / len(u)
        if self.reduction == "reference":
            sample = sample / self.num_groups
        return sample, self._codebook_entropy(logits)

    def _codebook_entropy(self, logits: Float[Tensor, "N dim"]) -> Tensor:
        largest = max(self.bits_per_group)
        if largest > MAX_HISTOGRAM_BITS:
            if self.codebook_entropy_weight == 0:
                return logits.new_zeros(())
            raise ValueError(
                f"the codebook entropy of {largest} bits in one group needs a histogram of "
                f"2^{largest} codes, the limit is 2^{MAX_HISTOGRAM_BITS}: split the bits into "
                "groups (kind gq), or set codebook_entropy_weight to 0"
            )
        if len(set(self.bits_per_group)) == 1:
            batches = [logits.unflatten(-1, (self.num_groups, largest)).transpose(0, 1)]
        else:
            batches = [group.unsqueeze(0) for group in logits.split(self.bits_per_group, dim=-1)]
        total = logits.new_zeros(())
        for batch in batches:
            if self.reduction == "reference":
                batch = batch.reshape(1, -1, largest)
            histograms = all_reduce_mean(mean_assignment(batch))
            total = total + negative_plogp(histograms, self.entropy_eps).sum()
        return total


def check_bits(name: str, bits: int) -> None:
    """Raise unless a group of so many bits has an int64 index."""
    if not 1 <= bits <= MAX_BITS:
        raise ValueError(f"{name} must be from 1 to {MAX_BITS}, got {bits}")


def _word(bits: Float[Tensor, "*batch bits"]) -> Int64[Tensor, "*batch"]:
    """(2) of one group, in as many parts as fp32 needs."""
    parts = [
        (part @ _powers(part.shape[-1], part)).long() * 2 ** (EXACT_BITS * i)
        for i, part in enumerate(bits.split(EXACT_BITS, dim=-1))
    ]
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(dim=0)


def _powers(count: int, like: Tensor) -> Float[Tensor, "count"]:
    return torch.exp2(torch.arange(count, device=like.device, dtype=like.dtype))
