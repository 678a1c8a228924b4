"""Bottleneck and Quantizer: the one interface of everything that sits between encoder and decoder.

A bottleneck sees vectors `(*batch, dim)`, channels last, and never time or space. It returns a
`Quantized`, whose fields are the same for every kind. Discrete bottlenecks are `Quantizer`s, and
obey

    indices_to_codes(quantizer(x).indices) == quantizer(x).codes
    quantizer(quantizer(x).codes).indices == quantizer(x).indices        where `idempotent`
    0 <= indices < codebook_size
    the gradient of the codes reaches x
    a vector's result does not depend on the other vectors of its batch (in eval mode)

Arithmetic runs in fp32 (fp64 stays fp64) whatever the caller's dtype or autocast; codes come back
in the caller's dtype, losses in fp32. Losses are active in train mode; in eval mode they are zeros
under the same keys. A new quantizer implements `_quantize` and `indices_to_codes`, nothing else.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log2

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from .posterior import Gaussian

# Indices are int64, and products of a few of them must not overflow.
MAX_BITS = 62


class NonFiniteLatentsError(ValueError, FloatingPointError):
    """NaN or infinity in what should be quantized: a wrong input, or a training gone astray."""


@dataclass(frozen=True)
class Quantized:
    """What a bottleneck returns.

    Attributes:
        codes: what the decoder receives, (*batch, code_dim), in the caller's dtype.
        indices: (*batch, num_groups) int64, or None when the bottleneck is continuous.
        loss: weighted sum of the terms, a fp32 scalar; zero when no term is active.
        terms: each term unweighted, fp32 scalars; the keys never change with the mode.
    """

    codes: Float[Tensor, "*batch code_dim"]
    indices: Int64[Tensor, "*batch num_groups"] | None
    loss: Float[Tensor, ""]
    terms: dict[str, Tensor]


torch.export.register_dataclass(Quantized)


class Bottleneck(nn.Module, ABC):
    """Vectors from the encoder to vectors for the decoder.

    Attributes:
        dim: channels that arrive from the encoder.
        code_dim: channels that leave for the decoder.
    """

    dim: int
    code_dim: int

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        """Pass vectors through the bottleneck.

        Args:
            x: encoder output, channels last.

        Raises:
            ValueError: the last axis is not `dim` long.
            NonFiniteLatentsError: NaN or infinity in `x`.
        """
        if x.shape[-1] != self.dim:
            raise ValueError(
                f"{type(self).__name__} expects {self.dim} channels on the last axis, "
                f"got shape {tuple(x.shape)}"
            )
        x32 = x.to(torch.promote_types(x.dtype, torch.float32))
        if not (torch.compiler.is_compiling() or x.is_meta):
            self._check_finite(x32)
        with torch.autocast(x.device.type, enabled=False):
            out = self._quantize(x32)
        terms = {name: term.float() for name, term in out.terms.items()}
        return Quantized(out.codes.to(x.dtype), out.indices, out.loss.float(), terms)

    @torch.no_grad()
    def _check_finite(self, x: Tensor) -> None:
        """Name broken latents here, where they are still known to be latents."""
        # One cheap pass: a finite sum has finite terms. Only a sum that is not needs a second look.
        if x.sum().isfinite() or x.isfinite().all():
            return
        raise NonFiniteLatentsError(
            f"{type(self).__name__} received latents with {int(x.isnan().sum())} NaN and "
            f"{int(x.isinf().sum())} infinite of {x.numel()} values; the encoder's output must be "
            "finite (check its input and weights, lower the learning rate)"
        )

    @abstractmethod
    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        """The method itself, on fp32 (or fp64) vectors outside autocast."""

    def posterior(self, x: Float[Tensor, "*batch dim"]) -> Gaussian | None:
        """The distribution over latents that a continuous bottleneck reads from `x`."""
        return None


class Quantizer(Bottleneck):
    """A discrete bottleneck.

    Attributes:
        num_groups: indices per vector.
        group_sizes: number of codes of each group.
        idempotent: whether quantizing codes gives their own indices again.
        stateful: whether a forward pass in train mode changes the codebook.
    """

    group_sizes: tuple[int, ...]
    idempotent: bool = False
    stateful: bool = False

    @property
    def num_groups(self) -> int:
        """Indices per vector."""
        return len(self.group_sizes)

    @property
    def codebook_size(self) -> int:
        """Codes per group (the largest, where groups differ)."""
        return max(self.group_sizes)

    @property
    def bits(self) -> float:
        """Nominal bits per vector."""
        return sum(log2(size) for size in self.group_sizes)

    @property
    def residual_scale(self) -> Tensor | float:
        """How much smaller than its input the residual of a stage is; see `Residual`."""
        return 1.0

    @abstractmethod
    def indices_to_codes(
        self, indices: Int64[Tensor, "*batch num_groups"]
    ) -> Float[Tensor, "*batch code_dim"]:
        """Codes of the given indices, fp32.

        Raises:
            ValueError: an index outside its codebook, or another number of groups.
        """

    def check_indices(self, indices: Tensor) -> None:
        """Raise where indices have another number of groups or leave their codebook."""
        if torch.compiler.is_compiling() or indices.is_meta:
            return
        if indices.shape[-1] != self.num_groups:
            raise ValueError(
                f"indices must end in {self.num_groups} group(s), got shape {tuple(indices.shape)}"
            )
        sizes = torch.tensor(self.group_sizes, device=indices.device)
        if bool(((indices < 0) | (indices >= sizes)).any()):
            raise ValueError(
                f"indices must lie in [0, {self.codebook_size}), "
                f"got {int(indices.min())} to {int(indices.max())}"
            )


def project(linear: nn.Linear, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch out"]:
    """`linear(x)`, with the weights cast to the dtype of `x`."""
    bias = None if linear.bias is None else linear.bias.to(x.dtype)
    return F.linear(x, linear.weight.to(x.dtype), bias)
