"""Encoding and Output: what `VisualTokenizer` returns.

Every tensor field is a tuple with one entry per grid of the layout. Most models have a single grid,
whose tensors `latent`, `code` and `index` return bare. Both classes can be moved with `to` and
sliced over the batch (`encoding[2:5]`), whose size is their `len`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .bottlenecks.posterior import Gaussian, Posterior
from .layout import Layout
from .results.batch_result import BatchResult

T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class Encoding(BatchResult):
    """The encoding of a batch of clips.

    Attributes:
        latents: encoder output (posterior mode), (B, C, t, h, w) per grid.
        codes: the decoder's input, (B, C', t, h, w) per grid; for continuous tokenizers the
            latents.
        indices: (B, t, h, w, groups) int64 per grid, or None when continuous.
        posterior: distribution of the latents, or None when discrete.
        layout: grid shapes and the unpadded size, the same for the whole batch.
        group_sizes: number of codes of each group of indices; empty when continuous.
    """

    latents: tuple[Float[Tensor, "B C _ _ _"], ...]
    codes: tuple[Float[Tensor, "B K _ _ _"], ...]
    indices: tuple[Int64[Tensor, "B _ _ _ groups"], ...] | None
    posterior: Posterior | None
    layout: Layout
    group_sizes: tuple[int, ...]

    @property
    def latent(self) -> Tensor:
        """The latents of the only grid; an error if there are several."""
        return _single(self.latents, "latent")

    @property
    def code(self) -> Tensor:
        """The codes of the only grid; an error if there are several."""
        return _single(self.codes, "code")

    @property
    def index(self) -> Tensor:
        """The indices of the only grid; an error if there are several."""
        return _single(self._discrete(), "index")

    @property
    def tokens(self) -> Int64[Tensor, "B L"]:
        """Indices as one sequence per clip: grids in order, each flattened t, h, w, group."""
        return torch.cat([grid.flatten(1) for grid in self._discrete()], dim=1)

    def flat_tokens(self, offset: bool = False) -> Int64[Tensor, "B L"]:
        """Return the token sequence; with `offset`, groups have separate ranges of a vocabulary."""
        if not offset:
            return self.tokens
        starts = list(accumulate(self.group_sizes[:-1], initial=0))
        shift = torch.tensor(starts, device=self._discrete()[0].device)
        return torch.cat([(grid + shift).flatten(1) for grid in self._discrete()], dim=1)

    def _discrete(self) -> tuple[Tensor, ...]:
        if self.indices is None:
            raise ValueError("this tokenizer is continuous: an encoding has latents but no tokens")
        return self.indices


@dataclass(frozen=True, repr=False)
class Output(BatchResult):
    """The result of the differentiable training forward.

    Attributes:
        pixels: reconstruction (B, 3, T, H, W), unclamped; the discrete one where both paths of a
            dual-path tokenizer were taken.
        encoding: the encoding that was decoded, of the same path.
        loss: weighted sum of the bottleneck's terms, a scalar.
        terms: each bottleneck term unweighted.
        paths: reconstructions of a dual-path tokenizer by their path; empty for other tokenizers.
    """

    pixels: Float[Tensor, "B 3 T H W"]
    encoding: Encoding
    loss: Float[Tensor, ""]
    terms: dict[str, Tensor]
    paths: dict[str, Tensor] = field(default_factory=dict)

    @property
    def reconstructions(self) -> Float[Tensor, "_ 3 T H W"]:
        """Reconstructions of all paths, one batch after the other."""
        return torch.cat(list(self.paths.values())) if self.paths else self.pixels


def joined(outputs: Mapping[str, Output]) -> Output:
    """Combine the outputs of a dual-path tokenizer's paths; most fields are those of the first."""
    first = next(iter(outputs.values()))
    terms: dict[str, Tensor] = {}
    for output in outputs.values():
        terms |= output.terms
    loss = torch.stack([output.loss for output in outputs.values()]).sum()
    paths = {name: output.pixels for name, output in outputs.items()}
    return Output(pixels=first.pixels, encoding=first.encoding, loss=loss, terms=terms, paths=paths)


def _single(grids: tuple[T, ...], name: str) -> T:
    if len(grids) != 1:
        raise ValueError(
            f"{name} needs a single grid, this encoding has {len(grids)}; use the tuple"
        )
    return grids[0]


# Registered, so that torch.export finds the tensors inside the results.
for _result in (Gaussian, Posterior, Layout, Encoding, Output):
    torch.export.register_dataclass(_result)
