"""Parts of every family as a user writes them, registered and forgotten again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from vistok import (
    Conditions,
    Decoder,
    Discriminator,
    Encoder,
    Quantized,
    Quantizer,
    Reconstruction,
    ReconstructionLoss,
    Reconstructor,
    SampleMetric,
)
from vistok.registry import FAMILIES

# The quantizer of the docs, a whole file.
DOCS = Path(__file__).parents[2] / "docs" / "your_own_parts.md"
TERNARY = DOCS.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]


@contextmanager
def forgetting() -> Iterator[None]:
    """Remove what is registered meanwhile."""
    families = {id(family.kinds): family.kinds for family in FAMILIES}.values()
    before = [dict(kinds) for kinds in families]
    try:
        yield
    finally:
        for kinds, earlier in zip(families, before, strict=True):
            kinds.clear()
            kinds.update(earlier)


class Signs(Quantizer):
    """Quantize to signs.

    Args:
        channels: number of channels.
    """

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.dim = self.code_dim = channels
        self.group_sizes = (2,) * channels

    def _quantize(self, x: Tensor) -> Quantized:
        indices = (x > 0).long()
        codes = x + (self.indices_to_codes(indices) - x).detach()
        return Quantized(codes, indices, x.new_zeros(()), {})

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        self.check_indices(indices)
        return 2.0 * indices - 1


class Patches(Encoder):
    """Encode every patch with one linear layer.

    Args:
        out_channels: set by the bottleneck.
        side: side of a patch.
    """

    def __init__(self, out_channels: int, side: int = 4) -> None:
        super().__init__()
        self.temporal_compression, self.spatial_compression = 1, side
        self.linear = nn.Conv3d(3, out_channels, (1, side, side), stride=(1, side, side))

    def forward(self, pixels: Tensor, state: object = None) -> Tensor:
        return self.linear(pixels)


class Unpatches(Decoder):
    """Decode every patch with one linear layer.

    Args:
        in_channels: set by the bottleneck.
        side: side of a patch.
    """

    def __init__(self, in_channels: int, side: int = 4) -> None:
        super().__init__()
        self.temporal_compression, self.spatial_compression = 1, side
        self.linear = nn.ConvTranspose3d(in_channels, 3, (1, side, side), stride=(1, side, side))

    def forward(
        self, latents: Tensor, state: object = None, conditions: Conditions | None = None
    ) -> Tensor:
        return self.linear(latents)


class Brightness(Discriminator):
    """Judge frames by their brightness.

    Args:
        in_channels: set by the program.
        scale: factor on the logits.
    """

    min_side = 1

    def __init__(self, in_channels: int, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def _logits(self, pixels: Tensor) -> Tensor:
        return self.scale * pixels.mean(dim=(1, 3, 4)).flatten()[:, None, None, None, None]


class Edges(ReconstructionLoss):
    """Compare horizontal differences.

    Args:
        power: exponent of the error.
    """

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()
        self.power = power

    def forward(self, reconstruction: Tensor, pixels: Tensor) -> Tensor:
        return (reconstruction - pixels).diff(dim=-1).abs().pow(self.power).mean()


class LargestDeviation(SampleMetric):
    """The largest error of each sample, of 255; knows the size of the evaluation."""

    name = "largest_deviation"

    def __init__(self, size: int) -> None:
        self.size = size

    def measure(self, pair) -> dict[str, Tensor]:
        assert pair.originals.shape[-1] == self.size
        before, after = pair.originals.double(), pair.reconstructions.double()
        return {self.name: (before - after).abs().flatten(1).amax(dim=1).cpu()}

    def numbers(self, columns: Mapping[str, Tensor]) -> dict[str, float]:
        return {self.name: columns[self.name].mean().item()}


class Fade(Reconstructor):
    """Darken pixels by a factor.

    Args:
        factor: of the pixels.
        offsets: added to the channels.
    """

    def __init__(self, factor: float = 0.5, offsets: Sequence[int] = (0, 0, 0)) -> None:
        self.factor, self.offsets = factor, torch.tensor(offsets).view(3, 1, 1, 1)

    def reconstruct(self, clips: Tensor, keys: Sequence[str]) -> Reconstruction:
        return Reconstruction((clips * self.factor + self.offsets).clamp(0, 255).to(torch.uint8))
