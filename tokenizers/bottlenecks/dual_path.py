"""Two paths through one network: continuous latents, and their quantized form (arXiv 2508.09857).

    continuous    moments -> posterior -> latents                   -> decoder
    discrete      moments -> posterior -> mode -> quantizer -> codes -> decoder

Both arrive at the same decoder, so codes have the channels of the latents. As a bottleneck this is
the discrete path; `continuous` is the other one. Which of them a training step takes is the
training's choice: see `VisualTokenizer.forward`.
"""

from collections.abc import Mapping
from typing import Any, Literal

from jaxtyping import Float, Int64
from torch import Tensor

from .bottleneck import Bottleneck, Quantized, Quantizer
from .nested import build_continuous, build_quantizer
from .posterior import Gaussian

PathName = Literal["discrete", "continuous"]


class DualPath(Quantizer):
    """A continuous bottleneck, and a quantizer of its latents.

    Args:
        continuous: options of the continuous bottleneck, with `kind`.
        quantizer: options of the quantizer, with `kind`; it takes and gives as many channels as the
            latents have. `multi_token` with `dim` joins a wide latent to narrow codes.
    """

    def __init__(self, continuous: Mapping[str, Any], quantizer: Mapping[str, Any]) -> None:
        super().__init__()
        self.continuous = build_continuous(continuous)
        self.quantizer = build_quantizer(quantizer)
        channels = self.continuous.code_dim
        if (self.quantizer.dim, self.quantizer.code_dim) != (channels, channels):
            raise ValueError(
                f"the quantizer must take and give the {channels} channels of the latents, but "
                f"takes {self.quantizer.dim} and gives {self.quantizer.code_dim}; wrap it as "
                f"{{kind: multi_token, num_tokens: 1, dim: {channels}, quantizer: ...}}"
            )
        self.dim, self.code_dim = self.continuous.dim, channels
        self.group_sizes = self.quantizer.group_sizes
        self.stateful = self.quantizer.stateful
        self.idempotent = self.quantizer.idempotent and self.dim == channels

    def posterior(self, x: Float[Tensor, "*batch dim"]) -> Gaussian:
        """That of the continuous path."""
        posterior = self.continuous.posterior(x)
        assert posterior is not None, "continuous bottlenecks have one"
        return posterior

    def _quantize(self, x: Float[Tensor, "*batch dim"]) -> Quantized:
        return self.quantizer(self.posterior(x).mode())

    def indices_to_codes(
        self, indices: Int64[Tensor, "*batch num_groups"]
    ) -> Float[Tensor, "*batch code_dim"]:
        """Codes of the given indices, fp32."""
        return self.quantizer.indices_to_codes(indices)


def paths_of(bottleneck: Bottleneck) -> dict[PathName, Bottleneck]:
    """Every way from the encoder to the decoder; the first one is taken where nobody chooses."""
    if isinstance(bottleneck, DualPath):
        return {"discrete": bottleneck, "continuous": bottleneck.continuous}
    return {"discrete" if isinstance(bottleneck, Quantizer) else "continuous": bottleneck}
