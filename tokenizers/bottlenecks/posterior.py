"""Gaussian and Posterior: the diagonal normal distribution over latents of a VAE's encoder."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..results.batch_result import BatchResult

MIN_LOGVAR, MAX_LOGVAR = -30.0, 20.0


@dataclass(frozen=True, repr=False)
class Gaussian(BatchResult):
    """The distribution N(mean, exp(logvar)), elementwise; the log-variance lies in [-30, 20].

    A log-variance of None means certainty: the sample is the mean and the divergence is zero.
    """

    mean: Float[Tensor, "..."]
    logvar: Float[Tensor, "..."] | None

    def mode(self) -> Tensor:
        """Return the most likely latent."""
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw a latent, mean + exp(logvar / 2) * noise."""
        if self.logvar is None:
            return self.mean
        noise = torch.randn(
            self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype
        )
        return self.mean + torch.exp(0.5 * self.logvar) * noise

    def kl(self) -> Tensor:
        """Return KL(N(mean, var) || N(0, 1)) of every element, in nats."""
        if self.logvar is None:
            return torch.zeros_like(self.mean)
        # KL = (mean^2 + var - 1 - log var) / 2
        return 0.5 * (self.mean.square() + self.logvar.exp() - 1.0 - self.logvar)


@dataclass(frozen=True, repr=False)
class Posterior(BatchResult):
    """The posteriors of an encoding, one (B, C, t, h, w) Gaussian per grid.

    Every method returns a tuple with one entry per grid; `kl` sums the elements of each sample.
    """

    grids: tuple[Gaussian, ...]

    @property
    def mean(self) -> tuple[Tensor, ...]:
        """Means of the latents of each grid."""
        return tuple(grid.mean for grid in self.grids)

    @property
    def logvar(self) -> tuple[Tensor | None, ...]:
        """Log-variances of the latents of each grid."""
        return tuple(grid.logvar for grid in self.grids)

    def mode(self) -> tuple[Tensor, ...]:
        """Return the most likely latents of each grid."""
        return tuple(grid.mode() for grid in self.grids)

    def sample(self, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        """Draw the latents of each grid."""
        return tuple(grid.sample(generator) for grid in self.grids)

    def kl(self) -> tuple[Float[Tensor, "B"], ...]:
        """Return the divergence of each sample from N(0, 1), in nats, for each grid."""
        return tuple(grid.kl().flatten(1).sum(dim=1) for grid in self.grids)


def gaussian_from_moments(mean: Tensor, logvar: Tensor) -> Gaussian:
    """Return the Gaussian with the log-variance clamped to its range."""
    return Gaussian(mean, logvar.clamp(MIN_LOGVAR, MAX_LOGVAR))


def posterior_of(grids: Sequence[Gaussian | None]) -> Posterior | None:
    """Return the posterior of all grids, or None where the bottleneck has none."""
    present = tuple(grid for grid in grids if grid is not None)
    return Posterior(present) if present else None
