"""Dual path: continuous latents and their quantized form from one network (arXiv 2508.09857).

    continuous    moments -> posterior -> latents                   -> decoder
    discrete      moments -> posterior -> mode -> quantizer -> codes -> decoder

Both paths share the decoder, so codes have the channels of the latents. As a bottleneck this is the
discrete path; `continuous` is the other one. The training run chooses the path of each step: see
`VisualTokenizer.forward`.
"""

from typing import Literal

from jaxtyping import Float, Int64
from torch import Tensor

from .bottleneck import Bottleneck, Continuous, Quantized, Quantizer
from .composition import check_part

PathName = Literal["discrete", "continuous"]


class DualPath(Quantizer):
    """A continuous bottleneck, and a quantizer of its latents.

    Args:
        continuous: the continuous bottleneck; in configs its options, with `kind`.
        quantizer: the quantizer, whose input and output have the channels of the latents; in
            configs its options, with `kind`. `MultiToken` with `dim` joins a wide latent to narrow
            codes.

    Example:
        >>> from vistok import FSQ, KL, DualPath, MultiToken
        >>> quantizer = MultiToken(lambda: FSQ((8, 5, 5)), num_tokens=2, dim=16)
        >>> DualPath(continuous=KL(16), quantizer=quantizer).num_groups
        2
    """

    def __init__(self, continuous: Continuous, quantizer: Quantizer) -> None:
        super().__init__()
        self.continuous = check_part("continuous", continuous, Continuous, "KL(16)")
        self.quantizer = check_part("quantizer", quantizer, Quantizer, "FSQ((8, 5, 5))")
        channels = self.continuous.code_dim
        if (self.quantizer.dim, self.quantizer.code_dim) != (channels, channels):
            raise ValueError(
                f"the quantizer's input and output must have the {channels} channels of the "
                f"latents, got {self.quantizer.dim} and {self.quantizer.code_dim}; wrap it in "
                f"multi_token with num_tokens=1 and dim={channels}"
            )
        self.dim, self.code_dim = self.continuous.dim, channels
        self.group_sizes = self.quantizer.group_sizes
        self.stateful = self.quantizer.stateful
        self.idempotent = self.quantizer.idempotent and self.dim == channels

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        return self.quantizer(self.continuous.posterior(x).mode())

    def indices_to_codes(
        self, indices: Int64[Tensor, "*batch num_groups"]
    ) -> Float[Tensor, "*batch code_dim"]:
        """Return the codes of the given indices, fp32."""
        return self.quantizer.indices_to_codes(indices)


def paths_of(bottleneck: Bottleneck) -> dict[PathName, Bottleneck]:
    """Return the paths from the encoder to the decoder by name, the default one first."""
    if isinstance(bottleneck, DualPath):
        return {"discrete": bottleneck, "continuous": bottleneck.continuous}
    return {"discrete" if isinstance(bottleneck, Quantizer) else "continuous": bottleneck}


def continuous_part(bottleneck: Bottleneck) -> Continuous | None:
    """Return the bottleneck of the continuous path, or None for one that is only discrete."""
    continuous = paths_of(bottleneck).get("continuous")
    return continuous if isinstance(continuous, Continuous) else None
