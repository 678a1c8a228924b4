"""Plain bottleneck: the encoder's output unchanged, for a deterministic autoencoder."""

import torch
from jaxtyping import Float
from torch import Tensor

from .bottleneck import Continuous, Quantized
from .posterior import Gaussian


class Plain(Continuous):
    """Continuous latents without noise or loss.

    Args:
        latent_channels: channels of the latents.
    """

    def __init__(self, latent_channels: int = 16) -> None:
        super().__init__()
        if latent_channels < 1:
            raise ValueError(f"latent_channels must be >= 1, got {latent_channels}")
        self.dim = self.code_dim = latent_channels

    def posterior(self, x: Float[Tensor, "*batch dim"]) -> Gaussian:
        """Return the distribution without uncertainty whose mean is `x`."""
        return Gaussian(x, None)

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        return Quantized(x, None, x.new_zeros((), dtype=torch.float32), {})
