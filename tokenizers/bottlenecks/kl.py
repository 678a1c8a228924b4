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
from .codebook import check_choice
from .kl_loss import KLReduction, KLRegularized
from .posterior import MIN_LOGVAR, Gaussian, gaussian_from_moments


class KL(KLRegularized):
    """Diagonal Gaussian latents: a sample in train mode, the mode in eval mode.

    Args:
        latent_channels: channels of the latents.
        kl_weight: weight of the divergence from N(0, 1).
        logvar: "per_channel", "uniform" (one for all channels) or "constant".
        kl_reduction: unit of the divergence: "mean" over latent values, "per_pixel" (sum over a
            sample's latent values / number of its pixel values) or "sum_over_batch" (that sum).
    """

    def __init__(
        self,
        latent_channels: Channels = 16,
        kl_weight: float = 1e-6,
        logvar: Literal["per_channel", "uniform", "constant"] = "per_channel",
        kl_reduction: KLReduction = "mean",
    ) -> None:
        super().__init__(kl_weight, kl_reduction)
        check_limits("latent_channels", latent_channels, MAX_CHANNELS)
        check_choice("logvar", logvar, ("per_channel", "uniform", "constant"))
        self.code_dim = latent_channels
        self.dim = latent_channels + (latent_channels if logvar == "per_channel" else 1)
        self.logvar = logvar

    def posterior(self, x: Float[Tensor, "*batch dim"]) -> Gaussian:
        """Split the encoder's channels into mean and log-variance."""
        mean, logvar = x.split([self.code_dim, self.dim - self.code_dim], dim=-1)
        if self.logvar == "constant":
            return Gaussian(mean, torch.full_like(mean, MIN_LOGVAR))
        return gaussian_from_moments(mean, logvar.expand_as(mean))
