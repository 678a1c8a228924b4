"""KL bottleneck: the Gaussian latents of a VAE (arXiv 1312.6114, 2112.10752).

The encoder emits C means and, by `logvar`,

    per_channel    C log-variances, one for each mean
    uniform        1 log-variance for all channels of a position (LTX-Video, arXiv 2501.00103)
    constant       1 channel that is ignored; the log-variance is -30, practically no noise

The loss is the divergence of a latent value from N(0, 1), averaged over the batch and, by
`kl_reduction`,

    mean             over the latent values of a sample
    per_pixel        summed over them, divided by the number of pixel values of the sample, 3 T H W
    sum_over_batch   summed over them

Beside pixel losses that are means over pixel values, `per_pixel` is the unit of recipes that sum
both over a sample (latent diffusion), and `sum_over_batch` that of recipes which sum the divergence
alone (TA-TiTok, arXiv 2501.07730).
"""

from math import prod
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ...size_limits import MAX_CHANNELS, Channels, check_limits
from .bottleneck import Continuous, Quantized
from .codebook import check_choice
from .posterior import MIN_LOGVAR, Gaussian, gaussian_from_moments

KLReduction = Literal["mean", "per_pixel", "sum_over_batch"]


class KLRegularized(Continuous):
    """Continuous bottleneck that samples a Gaussian in train mode and has its KL as loss.

    Args:
        kl_weight: weight of the divergence.
        kl_reduction: unit of the divergence, see above.
    """

    def __init__(self, kl_weight: float, kl_reduction: KLReduction) -> None:
        super().__init__()
        if kl_weight < 0:
            raise ValueError(f"kl_weight must be >= 0, got {kl_weight}")
        check_choice("kl_reduction", kl_reduction, ("mean", "per_pixel", "sum_over_batch"))
        self.kl_weight, self.kl_reduction = kl_weight, kl_reduction

    def extra_repr(self) -> str:
        """Describe the channels and the weight for `repr`."""
        return f"{super().extra_repr()}, kl_weight={self.kl_weight:g}"

    def forward(self, x: Float[Tensor, "*batch dim"], pixel_values: int | None = None) -> Quantized:
        """Pass vectors through the bottleneck; the first axis counts the samples.

        Args:
            x: encoder output, channels last.
            pixel_values: number of pixel values of each sample, for kl_reduction=per_pixel.

        Raises:
            ValueError: kl_reduction=per_pixel in train mode without `pixel_values`.
        """
        out = super().forward(x)
        if not self.training or self.kl_reduction == "mean":
            return out
        unit = self._values_per_unit(x, pixel_values)
        terms = {"kl": unit * out.terms["kl"]}
        return Quantized(out.codes, out.indices, self.kl_weight * terms["kl"], terms)

    def _values_per_unit(self, x: Tensor, pixel_values: int | None) -> float:
        """Return the factor from a mean over latent values to the unit of the loss."""
        latent_values = prod(x.shape[1:-1]) * self.code_dim
        if self.kl_reduction == "sum_over_batch":
            return float(latent_values)
        if pixel_values is None:
            raise ValueError(
                "kl_reduction=per_pixel needs the number of pixel values of a sample: train the "
                "bottleneck within a tokenizer, or pass pixel_values"
            )
        return latent_values / pixel_values

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        posterior = self.posterior(x)
        if not self.training:
            zero = x.new_zeros(())
            return Quantized(posterior.mode(), None, zero, {"kl": zero})
        kl = posterior.kl().mean()
        return Quantized(posterior.sample(), None, self.kl_weight * kl, {"kl": kl})


class KL(KLRegularized):
    """Diagonal Gaussian latents: a sample in train mode, the mode in eval mode.

    Args:
        latent_channels: channels of the latents.
        kl_weight: weight of the divergence from N(0, 1).
        logvar: "per_channel", "uniform" (one for all channels) or "constant".
        kl_reduction: unit of the divergence: "mean" over latent values, "per_pixel" (sum over a
            sample's latent values / number of its pixel values) or "sum_over_batch" (that sum).

    Example:
        >>> import torch
        >>> from vistok import KL
        >>> kl = KL(latent_channels=4).eval()
        >>> out = kl(torch.randn(10, kl.dim))  # means and log variances
        >>> out.codes.shape, kl.dim
        (torch.Size([10, 4]), 8)
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
