"""Fixed-sigma bottleneck (the sigma-VAE, arXiv 2412.08635): latents with noise of fixed strength.

    train: code = x + sigma noise        eval: code = x        KL up to a constant: mean x^2 / 2

The encoder emits no variance that could collapse to zero, so latents keep a noise floor that a
diffusion or autoregressive model can rely on.
"""

from math import log

import torch
from jaxtyping import Float
from torch import Tensor

from ...size_limits import MAX_CHANNELS, Channels, check_limits
from .kl import KLReduction, KLRegularized
from .posterior import Gaussian


class FixedSigma(KLRegularized):
    """Gaussian latents of constant variance: a sample in train mode, the mode in eval mode.

    Args:
        latent_channels: channels of the latents.
        sigma: standard deviation of the noise, > 0.
        kl_weight: weight of the divergence from N(0, 1).
        kl_reduction: unit of the divergence: "mean" over latent values, "per_pixel" (sum over a
            sample's latent values / number of its pixel values) or "sum_over_batch" (that sum).
    """

    def __init__(
        self,
        latent_channels: Channels = 16,
        sigma: float = 0.1,
        kl_weight: float = 1e-6,
        kl_reduction: KLReduction = "mean",
    ) -> None:
        super().__init__(kl_weight, kl_reduction)
        check_limits("latent_channels", latent_channels, MAX_CHANNELS)
        if sigma <= 0:
            raise ValueError(f"sigma must be > 0, got {sigma}; for no noise use kind: plain")
        self.dim = self.code_dim = latent_channels
        self.sigma = sigma

    def extra_repr(self) -> str:
        """Describe the channels and the noise for `repr`."""
        return f"{super().extra_repr()}, sigma={self.sigma:g}"

    def posterior(self, x: Float[Tensor, "*batch dim"]) -> Gaussian:
        """Return N(x, sigma^2), whose log-variance is constant."""
        return Gaussian(x, torch.full_like(x, 2 * log(self.sigma)))
