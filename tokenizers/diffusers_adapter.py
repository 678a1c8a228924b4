"""DiffusersAdapter: a tokenizer with the VAE interface of diffusers' pipelines.

Pipelines call `encode(x).latent_dist` and `decode(z)[0]`.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import Tensor

from .bottlenecks.posterior import Gaussian
from .encoding import Encoding


@runtime_checkable
class ContinuousTokenizer(Protocol):
    """The part of `VisualTokenizer` that the adapter calls.

    The class itself is not imported, since its `as_diffusers` imports this module.
    """

    config: Any
    dtype: torch.dtype
    device: torch.device

    def encode(self, pixels: Tensor) -> Encoding:
        """Encode clips (B, 3, T, H, W)."""
        ...

    def decode_latents(
        self,
        latents: Tensor,
        *,
        timestep: float | Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Decode latents (B, C, t, h, w)."""
        ...


@dataclass(frozen=True)
class LatentDistribution:
    """A posterior with the interface of diffusers' distributions.

    Attributes:
        posterior: distribution of the latents, (B, C, ...).
    """

    posterior: Gaussian

    @property
    def mean(self) -> Tensor:
        """Mean value of every latent."""
        return self.posterior.mean

    @property
    def logvar(self) -> Tensor | None:
        """Log-variance of every latent, or None where they are certain."""
        return self.posterior.logvar

    def mode(self) -> Tensor:
        """Return the most likely latents."""
        return self.posterior.mode()

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents from the distribution."""
        return self.posterior.sample(generator)


class DiffusersAdapter(torch.nn.Module):
    """A continuous tokenizer behind diffusers' VAE interface.

    Images have the shape (B, 3, H, W), clips (B, 3, T, H, W); latents likewise.

    Args:
        tokenizer: continuous, with one grid.
    """

    def __init__(self, tokenizer: ContinuousTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.config = tokenizer.config

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the weights."""
        return self.tokenizer.dtype

    @property
    def device(self) -> torch.device:
        """Device that holds the weights."""
        return self.tokenizer.device

    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """Encode to an output whose `latent_dist` has mean, mode and sample."""
        is_image = x.ndim == 4
        posterior = self.tokenizer.encode(x.unsqueeze(2) if is_image else x).posterior
        assert posterior is not None, "continuous tokenizers have one"
        (grid,) = posterior.grids
        if is_image:
            logvar = None if grid.logvar is None else grid.logvar[:, :, 0]
            grid = Gaussian(grid.mean[:, :, 0], logvar)
        distribution: Any = LatentDistribution(grid)
        return AutoencoderKLOutput(latent_dist=distribution) if return_dict else (distribution,)

    def decode(
        self,
        z: Tensor,
        timestep: float | Tensor | None = None,
        return_dict: bool = True,
        generator: torch.Generator | None = None,
    ) -> Any:
        """Decode latents to pixels."""
        is_image = z.ndim == 4
        latents = z.unsqueeze(2) if is_image else z
        pixels = self.tokenizer.decode_latents(latents, timestep=timestep, generator=generator)
        pixels = pixels[:, :, 0] if is_image else pixels
        return DecoderOutput(sample=pixels) if return_dict else (pixels,)
