"""Timestep conditioning of denoising decoders (LTX-Video VAE, arXiv 2501.00103).

A timestep t in [0, 1] scales and shifts normalized activations: y = x (1 + scale) + shift.
Each stage embeds the timestep once; each block adds a learned table to the embedding.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

FREQUENCIES = 128


class TimestepEmbedder(nn.Module):
    """Embedding of a timestep: sinusoids through two linear layers.

    Args:
        channels: channels of the embedding.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(2 * FREQUENCIES, channels)
        self.linear_2 = nn.Linear(channels, channels)

    def forward(self, timestep: Float[Tensor, "B"]) -> Float[Tensor, "B C"]:
        """Embed timesteps that are already scaled (by 1000 in published models)."""
        k = torch.arange(FREQUENCIES, device=timestep.device, dtype=torch.float32)
        angles = timestep.float()[:, None] * torch.exp(-math.log(1e4) * k / FREQUENCIES)
        sinusoids = torch.cat([angles.cos(), angles.sin()], dim=1).to(self.linear_1.weight.dtype)
        return self.linear_2(nn.functional.silu(self.linear_1(sinusoids)))


def modulation(
    table: Float[Tensor, "rows C"], embedding: Float[Tensor, "B rowsC"]
) -> tuple[Float[Tensor, "B C 1 1 1"], ...]:
    """Return the shifts and scales of a block: the rows of its table plus the embedding."""
    rows = table + embedding.unflatten(1, table.shape)
    return tuple(row[:, :, None, None, None] for row in rows.unbind(dim=1))
