"""Bottleneck, Continuous and Quantizer: the interface of what sits between encoder and decoder.

A bottleneck sees vectors `(*batch, dim)`, channels last, and never time or space. It returns a
`Quantized`, whose fields are the same for every kind. Continuous bottlenecks are `Continuous`, and
have a posterior. Discrete ones are `Quantizer`s, and obey

    indices_to_codes(quantizer(x).indices) == quantizer(x).codes
    quantizer(quantizer(x).codes).indices == quantizer(x).indices        where `idempotent`
    0 <= indices < codebook_size
    the gradient of the codes reaches x
    the result of a vector does not depend on the other vectors of its batch (in eval mode)

Arithmetic runs in fp32 (fp64 stays fp64) whatever the caller's dtype or autocast; codes come back
in the caller's dtype, losses in fp32. Losses are active in train mode; in eval mode they are zeros
under the same keys. A new quantizer implements `_quantize` and `indices_to_codes`, a new continuous
bottleneck `_quantize` and `posterior`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log2

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ...models.recorded_arguments import RecordsArguments
from ..results.batch_result import BatchResult
from .posterior import Gaussian

# Indices are int64, and products of a few of them must not overflow.
MAX_BITS = 62


class NonFiniteLatentsError(ValueError, FloatingPointError):
    """Latents with NaN or infinite values: the input is wrong, or training has diverged."""


@dataclass(frozen=True, repr=False)
class Quantized(BatchResult):
    """The result of a bottleneck, the same fields for every kind.

    Attributes:
        codes: the decoder's input, (*batch, code_dim), in the caller's dtype.
        indices: (*batch, num_groups) int64, or None when the bottleneck is continuous.
        loss: weighted sum of the terms, a fp32 scalar; zero when no term is active.
        terms: each term unweighted, fp32 scalars; the keys never change with the mode.
    """

    codes: Float[Tensor, "*batch code_dim"]
    indices: Int64[Tensor, "*batch num_groups"] | None
    loss: Float[Tensor, ""]
    terms: dict[str, Tensor]


torch.export.register_dataclass(Quantized)


class Bottleneck(RecordsArguments, nn.Module, ABC):
    """A module that turns the encoder's vectors into vectors for the decoder.

    Attributes:
        dim: channels that the encoder must emit.
        code_dim: channels that the decoder receives.
    """

    dim: int
    code_dim: int

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        """Pass vectors through the bottleneck.

        Args:
            x: encoder output, channels last.

        Raises:
            ValueError: the last axis does not have length `dim`.
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

    def extra_repr(self) -> str:
        """Describe the channels for `repr`."""
        return f"dim={self.dim}, code_dim={self.code_dim}"

    @torch.no_grad()
    def _check_finite(self, x: Tensor) -> None:
        """Check here, where the error can still say that the latents are at fault."""
        if all_finite(x):
            return
        raise NonFiniteLatentsError(
            f"{type(self).__name__} received latents with {int(x.isnan().sum())} NaN and "
            f"{int(x.isinf().sum())} infinite of {x.numel()} values; the encoder's output must be "
            "finite (check its input and weights, lower the learning rate)"
        )

    @abstractmethod
    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        """Apply the method itself to fp32 (or fp64) vectors, outside autocast."""


class Continuous(Bottleneck):
    """A bottleneck of continuous latents, whose results have no indices."""

    @abstractmethod
    def posterior(self, x: Float[Tensor, "*batch dim"]) -> Gaussian:
        """Return the distribution over latents that the encoder's output describes.

        Args:
            x: encoder output, channels last, in fp32 or wider.
        """


class Quantizer(Bottleneck):
    """A discrete bottleneck, whose codes have indices.

    Attributes:
        num_groups: indices per vector.
        group_sizes: number of codes of each group.
        idempotent: whether quantizing codes returns their own indices.
        stateful: whether a forward pass in train mode changes the codebook.
    """

    group_sizes: tuple[int, ...]
    idempotent: bool = False
    stateful: bool = False

    @property
    def num_groups(self) -> int:
        """Number of indices per vector."""
        return len(self.group_sizes)

    @property
    def codebook_size(self) -> int:
        """Number of codes per group; of the largest group where they differ."""
        return max(self.group_sizes)

    @property
    def bits(self) -> float:
        """Nominal number of bits per vector."""
        return sum(log2(size) for size in self.group_sizes)

    def extra_repr(self) -> str:
        """Describe the channels and codes for `repr`."""
        return f"{super().extra_repr()}, group_sizes={self.group_sizes}"

    @property
    def residual_scale(self) -> Tensor | float:
        """Size of a stage's residual relative to its input; see `Residual`."""
        return 1.0

    @abstractmethod
    def indices_to_codes(
        self, indices: Int64[Tensor, "*batch num_groups"]
    ) -> Float[Tensor, "*batch code_dim"]:
        """Return the codes of the given indices, fp32.

        Raises:
            ValueError: an index outside its codebook, or the wrong number of groups.
        """

    def check_indices(self, indices: Tensor) -> None:
        """Raise unless there is one index per group, each within its codebook."""
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


def all_finite(x: Tensor) -> bool:
    """Return whether all values are finite; waits for the GPU."""
    # One cheap pass: a finite sum has finite terms. Only another sum needs a second look.
    return bool(x.sum().isfinite()) or bool(x.isfinite().all())


def project(linear: nn.Linear, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch out"]:
    """Return `linear(x)`, with the weights cast to the dtype of `x`."""
    bias = None if linear.bias is None else linear.bias.to(x.dtype)
    return F.linear(x, linear.weight.to(x.dtype), bias)
