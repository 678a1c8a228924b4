"""KL bottleneck: the Gaussian latents of a VAE (arXiv 1312.6114, 2112.10752)."""

import torch
from jaxtyping import Float
from torch import Tensor

from .posterior import Gaussian, gaussian_from_moments
from .quantizer import Bottleneck, Quantized


class KL(Bottleneck):
    """Diagonal Gaussian latents: a sample in train mode, the mode in eval mode.

    Args:
        latent_channels: channels of the latents; the encoder emits twice as many (mean,
            log-variance).
        kl_weight: weight of the divergence from N(0, 1), which is averaged over elements.
    """

    def __init__(self, latent_channels: int = 16, kl_weight: float = 1e-6) -> None:
        super().__init__()
        if latent_channels < 1:
            raise ValueError(f"latent_channels must be >= 1, got {latent_channels}")
        if kl_weight < 0:
            raise ValueError(f"kl_weight must be >= 0, got {kl_weight}")
        self.dim, self.code_dim = 2 * latent_channels, latent_channels
        self.kl_weight = kl_weight

    def posterior(self, x: Float[Tensor, "*batch dim"]) -> Gaussian:
        """Split the encoder's channels into mean and log-variance."""
        return gaussian_from_moments(*x.chunk(2, dim=-1))

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        posterior = self.posterior(x)
        codes = posterior.sample() if self.training else posterior.mode()
        kl = (
            posterior.kl().mean().float() if self.training else x.new_zeros((), dtype=torch.float32)
        )
        return Quantized(codes, None, self.kl_weight * kl, {"kl": kl})
