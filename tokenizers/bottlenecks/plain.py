"""Plain bottleneck: the encoder's output unchanged, for a deterministic autoencoder."""

import torch
from jaxtyping import Float
from torch import Tensor

from ...size_limits import MAX_CHANNELS, Channels, check_limits
from .bottleneck import Continuous, Quantized
from .posterior import Gaussian


class Plain(Continuous):
    """Continuous latents without noise or loss.

    Args:
        latent_channels: channels of the latents.
    """

    def __init__(self, latent_channels: Channels = 16) -> None:
        super().__init__()
        check_limits("latent_channels", latent_channels, MAX_CHANNELS)
        self.dim = self.code_dim = latent_channels

    def posterior(self, x: Float[Tensor, "*batch dim"]) -> Gaussian:
        """Return the distribution without uncertainty whose mean is `x`."""
        return Gaussian(x, None)

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        return Quantized(x, None, x.new_zeros((), dtype=torch.float32), {})
