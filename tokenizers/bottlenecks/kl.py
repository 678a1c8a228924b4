"""KL bottleneck: the Gaussian latents of a VAE (arXiv 1312.6114, 2112.10752).

The encoder emits C means and, by `logvar`,

    per_channel    C log-variances, one for each mean
    uniform        1 log-variance for all channels of a position (LTX-Video, arXiv 2501.00103)
    constant       1 channel that is ignored; the log-variance is -30, practically no noise
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ...size_limits import MAX_CHANNELS, Channels, check_limits
from .bottleneck import Continuous, Quantized
from .codebook import check_choice
from .posterior import MIN_LOGVAR, Gaussian, gaussian_from_moments


class KL(Continuous):
    """Diagonal Gaussian latents: a sample in train mode, the mode in eval mode.

    Args:
        latent_channels: channels of the latents.
        kl_weight: weight of the divergence from N(0, 1), which is averaged over elements.
        logvar: "per_channel", "uniform" (one for all channels) or "constant".
    """

    def __init__(
        self,
        latent_channels: Channels = 16,
        kl_weight: float = 1e-6,
        logvar: Literal["per_channel", "uniform", "constant"] = "per_channel",
    ) -> None:
        super().__init__()
        check_limits("latent_channels", latent_channels, MAX_CHANNELS)
        if kl_weight < 0:
            raise ValueError(f"kl_weight must be >= 0, got {kl_weight}")
        check_choice("logvar", logvar, ("per_channel", "uniform", "constant"))
        self.code_dim = latent_channels
        self.dim = latent_channels + (latent_channels if logvar == "per_channel" else 1)
        self.kl_weight, self.logvar = kl_weight, logvar

    def posterior(self, x: Float[Tensor, "*batch dim"]) -> Gaussian:
        """Split the encoder's channels into mean and log-variance."""
        mean, logvar = x.split([self.code_dim, self.dim - self.code_dim], dim=-1)
        if self.logvar == "constant":
            return Gaussian(mean, torch.full_like(mean, MIN_LOGVAR))
        return gaussian_from_moments(mean, logvar.expand_as(mean))

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        posterior = self.posterior(x)
        codes = posterior.sample() if self.training else posterior.mode()
        kl = (
            posterior.kl().mean().float() if self.training else x.new_zeros((), dtype=torch.float32)
        )
        return Quantized(codes, None, self.kl_weight * kl, {"kl": kl})
