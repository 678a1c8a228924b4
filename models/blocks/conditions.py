"""Conditions: what steers a decoder besides the codes it decodes."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Conditions:
    """Side inputs of one decoder call.

    Attributes:
        style: latents whose statistics drive adaptive norms, (B, C, t, h, w).
        timestep: noise level of each clip's latents, (B,), in [0, 1].
        noise: input of generative decoders beside the latents, of their shape; style may be that of
            a larger frame.
        generator: source of injected noise; None is torch's global one.
        noise_strength: factor on injected noise; 0 leaves it out.
    """

    style: Float[Tensor, "B C t h w"] | None = None
    timestep: Float[Tensor, "B"] | None = None
    noise: Float[Tensor, "B C t _ _"] | None = None
    generator: torch.Generator | None = None
    noise_strength: float = 1.0
