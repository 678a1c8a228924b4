"""KLRegularized: base class of Gaussian bottlenecks, with the KL loss in one of three units.

With KL the divergence of one latent value from N(0, 1), averaged over the batch in every case:

    mean             mean over the latent values of a sample
    per_pixel        sum over them / number of pixel values of the sample, 3 T H W
    sum_over_batch   sum over them

Beside pixel losses that are means over pixel values, `per_pixel` is the unit of recipes that sum
both over a sample (latent diffusion, arXiv 2112.10752), and `sum_over_batch` that of recipes which
sum the divergence alone (TA-TiTok, arXiv 2501.07730).
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from .bottleneck import Continuous, Quantized
from .codebook import check_choice

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
        latent_values = x[0, ..., 0].numel() * self.code_dim
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
