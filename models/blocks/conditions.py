"""Conditions: inputs of a decoder besides the codes it decodes."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Conditions:
    """Side inputs of one decoder call.

    Attributes:
        latents: latents whose statistics drive adaptive norms, (B, C, t, h, w); None takes those
            that are decoded.
        timestep: noise level of each clip's latents, (B,), in [0, 1].
        noise: second input of generative decoders, of the shape of the decoded latents. Those may
            be a tile of `latents`, so height and width may differ.
        generator: source of injected noise; None takes torch's global generator.
    """

    latents: Float[Tensor, "B C t h w"] | None = None
    timestep: Float[Tensor, "B"] | None = None
    noise: Float[Tensor, "B C t _ _"] | None = None
    generator: torch.Generator | None = None
