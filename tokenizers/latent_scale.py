"""LatentScale: latents to the normalized latents that diffusion models work on, and back.

normalize(z) = (z - mean) / std          per channel, measured over a data set
normalize(z) = (z - shift) * scale       one number each, as older models publish them
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class LatentScale:
    """Statistics of a tokenizer's latents; without any, `normalize` returns them unchanged.

    Attributes:
        mean: mean of each channel.
        std: standard deviation of each channel.
        scaling_factor: one factor for all channels, used where there is no mean and std.
        shift_factor: one shift for all channels, likewise.
    """

    mean: Sequence[float] | None
    std: Sequence[float] | None
    scaling_factor: float | None
    shift_factor: float | None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "LatentScale":
        """Read the statistics from a tokenizer's config.

        Raises:
            ValueError: values that are not finite numbers.
        """
        for name in ("latents_mean", "latents_std"):
            values = config[name]
            is_list = isinstance(values, Sequence) and not isinstance(values, str)
            if values is not None and not (is_list and all(map(_is_finite, values))):
                raise ValueError(f"{name} must be a list of finite numbers, got {values!r}")
        for name in ("scaling_factor", "shift_factor"):
            if config[name] is not None and not _is_finite(config[name]):
                raise ValueError(f"{name} must be a finite number, got {config[name]!r}")
        mean, std = (
            None if config[name] is None else [float(value) for value in config[name]]
            for name in ("latents_mean", "latents_std")
        )
        scale, shift = (
            None if config[name] is None else float(config[name])
            for name in ("scaling_factor", "shift_factor")
        )
        return cls(mean=mean, std=std, scaling_factor=scale, shift_factor=shift)

    def check(self, channels: int) -> None:
        """Raise unless the statistics are complete, invertible, and one value for each channel."""
        if (self.mean is None) != (self.std is None):
            raise ValueError("latents_mean and latents_std belong together, got only one of them")
        for name, values in (("latents_mean", self.mean), ("latents_std", self.std)):
            if values is not None and len(values) != channels:
                raise ValueError(
                    f"{name} must have one value per latent channel, {channels}, got {len(values)}"
                )
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"latents_std must be > 0 in every channel, got {min(self.std)}")
        if self.scaling_factor == 0:
            raise ValueError("scaling_factor must not be 0: no latents could be restored")

    def normalize(self, latents: Float[Tensor, "B C *grid"]) -> Float[Tensor, "B C *grid"]:
        """Shift and scale latents to zero mean and unit variance."""
        shift, scale = self._shift_and_scale(latents)
        return (latents - shift) * scale

    def unnormalize(self, latents: Float[Tensor, "B C *grid"]) -> Float[Tensor, "B C *grid"]:
        """Undo `normalize`, exact up to rounding."""
        shift, scale = self._shift_and_scale(latents)
        return latents / scale + shift

    def _shift_and_scale(self, latents: Tensor) -> tuple[Tensor | float, Tensor | float]:
        if self.mean is not None and self.std is not None:
            shape = (1, -1, *[1] * (latents.ndim - 2))
            mean, std = latents.new_tensor(self.mean), latents.new_tensor(self.std)
            return mean.view(shape), 1 / std.view(shape)
        shift = 0.0 if self.shift_factor is None else self.shift_factor
        return shift, 1.0 if self.scaling_factor is None else self.scaling_factor


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
