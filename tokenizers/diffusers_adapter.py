"""A tokenizer as diffusers' pipelines expect a VAE: `encode(x).latent_dist`, `decode(z)[0]`."""

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
    """What the adapter asks of a tokenizer."""

    config: Any
    dtype: torch.dtype
    device: torch.device

    def encode(self, pixels: Tensor) -> Encoding:
        """Encode clips."""
        ...

    def decode_latents(
        self,
        latents: Tensor,
        *,
        timestep: float | Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Decode latents."""
        ...


@dataclass(frozen=True)
class LatentDistribution:
    """diffusers' names for a posterior.

    Attributes:
        posterior: of the latents, (B, C, ...).
    """

    posterior: Gaussian

    @property
    def mean(self) -> Tensor:
        """Means."""
        return self.posterior.mean

    @property
    def logvar(self) -> Tensor | None:
        """Log-variances, or None for a point."""
        return self.posterior.logvar

    def mode(self) -> Tensor:
        """The most likely latents."""
        return self.posterior.mode()

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Drawn latents."""
        return self.posterior.sample(generator)


class DiffusersAdapter(torch.nn.Module):
    """A continuous tokenizer behind diffusers' VAE interface.

    Images go in and come out as (B, 3, H, W), clips as (B, 3, T, H, W); latents likewise.

    Args:
        tokenizer: continuous, with one grid.
    """

    def __init__(self, tokenizer: ContinuousTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.config = tokenizer.config

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.tokenizer.dtype

    @property
    def device(self) -> torch.device:
        """Of the weights."""
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
