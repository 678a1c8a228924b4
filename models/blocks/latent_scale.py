"""LatentScale: latents to the normalized latents that diffusion models work on, and back.

    normalize(z) = (z - mean) / std * scaling_factor      per channel
    normalize(z) = (z - shift_factor) * scaling_factor    one number each, as older models have it

Two families of published models need more: statistics that differ from latent frame to latent frame
(Cosmos), and latents whose squares of positions are packed into channels first (FLUX.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .patchify import depth_to_space, space_to_depth

# One value per channel, or per channel a list of one value per latent frame.
ChannelValues = Sequence[float] | Sequence[Sequence[float]]


@dataclass(frozen=True)
class LatentScale:
    """Statistics of latents; without any, `normalize` returns them unchanged.

    Attributes:
        latents_mean: mean of each channel, after packing; or of each channel and latent frame.
        latents_std: standard deviation likewise.
        scaling_factor: one factor for all channels.
        shift_factor: one shift for all channels, used where there is no mean.
        latent_patch_size: side of the squares of positions that are packed into channels.
    """

    latents_mean: ChannelValues | None = None
    latents_std: ChannelValues | None = None
    scaling_factor: float | None = None
    shift_factor: float | None = None
    latent_patch_size: int = 1

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "LatentScale":
        """Read the statistics from a config that names them as the attributes, where it has them.

        Raises:
            ValueError: values that are not finite numbers.
        """
        side = config.get("latent_patch_size", 1)
        if not isinstance(side, int) or isinstance(side, bool) or side < 1:
            raise ValueError(f"latent_patch_size must be a whole number >= 1, got {side!r}")
        return cls(
            latents_mean=_channel_values("latents_mean", config.get("latents_mean")),
            latents_std=_channel_values("latents_std", config.get("latents_std")),
            scaling_factor=_number("scaling_factor", config.get("scaling_factor")),
            shift_factor=_number("shift_factor", config.get("shift_factor")),
            latent_patch_size=side,
        )

    def to_config(self) -> dict[str, Any]:
        """Return the statistics by the names of the attributes, as plain lists and numbers."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def is_known(self) -> bool:
        """True if `normalize` changes anything."""
        return self != LatentScale()

    def check(self, channels: int) -> None:
        """Raise unless the statistics are complete, invertible, and one value for each channel."""
        mean, std = self.latents_mean, self.latents_std
        if (mean is None) != (std is None):
            raise ValueError("latents_mean and latents_std belong together, got only one of them")
        packed = channels * self.latent_patch_size**2
        for name, values in (("latents_mean", mean), ("latents_std", std)):
            if values is not None and len(values) != packed:
                raise ValueError(
                    f"{name} must have one value per latent channel, {packed}, got {len(values)}"
                )
        if mean is not None and std is not None:
            deviations = _tensor(std)
            if _tensor(mean).shape != deviations.shape:
                raise ValueError("latents_mean and latents_std must have as many frames each")
            if deviations.min() <= 0:
                raise ValueError(
                    f"latents_std must be > 0 in every channel, got {deviations.min():g}"
                )
        if self.scaling_factor == 0:
            raise ValueError("scaling_factor must not be 0: no latents could be restored")

    def normalize(self, latents: Float[Tensor, "B C *grid"]) -> Float[Tensor, "B Cp *packed"]:
        """Shift and scale latents to about zero mean and unit variance.

        Args:
            latents: (B, C, t, h, w), or (B, C, h, w) of images.

        Raises:
            ValueError: more latent frames than there are statistics for, or sides that are not
                multiples of `latent_patch_size`.
        """
        packed = self._packed(latents)
        shift, scale = self._shift_and_scale(packed)
        return (packed - shift) * scale

    def unnormalize(self, latents: Float[Tensor, "B Cp *packed"]) -> Float[Tensor, "B C *grid"]:
        """Undo `normalize`, exact up to rounding."""
        shift, scale = self._shift_and_scale(latents)
        return self._unpacked(latents / scale + shift)

    def per_channel(self, channels: int) -> tuple[Tensor, Tensor]:
        """Return shift and scale (C,) of latents as they are, (z - shift) * scale.

        Statistics that differ between frames, or within packed squares, are averaged.
        """
        self.check(channels)
        zeros, side = _tensor([0.0] * channels), self.latent_patch_size
        factor = 1.0 if self.scaling_factor is None else self.scaling_factor
        if self.latents_mean is None or self.latents_std is None:
            shift = 0.0 if self.shift_factor is None else self.shift_factor
            return zeros + shift, zeros + factor
        mean, std = (
            _tensor(values).view(channels, side * side, -1).mean(dim=(1, 2))
            for values in (self.latents_mean, self.latents_std)
        )
        return mean, factor / std

    def _shift_and_scale(self, latents: Tensor) -> tuple[Tensor | float, Tensor | float]:
        factor = 1.0 if self.scaling_factor is None else self.scaling_factor
        if self.latents_mean is None or self.latents_std is None:
            return 0.0 if self.shift_factor is None else self.shift_factor, factor
        mean, std = (self._broadcast(v, latents) for v in (self.latents_mean, self.latents_std))
        return mean, factor / std

    def _broadcast(self, values: ChannelValues, latents: Tensor) -> Tensor:
        """Return statistics as a tensor that broadcasts against the latents."""
        tensor = latents.new_tensor(values)
        if tensor.ndim == 1:
            return tensor.view(1, -1, *[1] * (latents.ndim - 2))
        frames = latents.shape[2] if latents.ndim == 5 else 1
        if frames > tensor.shape[1]:
            raise ValueError(
                f"the statistics of these latents hold for {tensor.shape[1]} latent frames, got "
                f"{frames}; normalize the clip in parts"
            )
        return tensor[:, :frames].view(1, -1, *[frames] * (latents.ndim == 5), 1, 1)

    def _packed(self, latents: Tensor) -> Tensor:
        side = self.latent_patch_size
        if side == 1:
            return latents
        if any(length % side for length in latents.shape[-2:]):
            h, w = latents.shape[-2:]
            raise ValueError(
                f"latents are packed in squares of {side} x {side} before they are normalized, so "
                f"h and w must be multiples of {side}, got {h} x {w}"
            )
        return _with_time(latents, lambda z: space_to_depth(z, 1, side))

    def _unpacked(self, latents: Tensor) -> Tensor:
        side = self.latent_patch_size
        return latents if side == 1 else _with_time(latents, lambda z: depth_to_space(z, 1, side))


def _tensor(values: ChannelValues) -> Tensor:
    """Return statistics as a tensor of real numbers, whatever the default device."""
    return torch.tensor(values, device="cpu")


def _with_time(latents: Tensor, rearrange: Any) -> Tensor:
    """Rearrange latents with or without a time axis."""
    if latents.ndim == 5:
        return rearrange(latents)
    return rearrange(latents.unsqueeze(2)).squeeze(2)


def _channel_values(name: str, values: Any) -> ChannelValues | None:
    """Return statistics as lists of floats.

    Raises:
        ValueError: anything but finite numbers, one per channel or as many for each channel.
    """
    if values is None:
        return None
    if _is_list(values) and values and all(map(_is_list, values)):
        rows = [_channel_values(name, row) for row in values]
        if len({len(row or ()) for row in rows}) > 1 or not rows[0]:
            raise ValueError(f"{name} must have as many frames for every channel")
        return rows  # pyright: ignore[reportReturnType]
    if not _is_list(values) or not all(map(_is_finite, values)):
        raise ValueError(f"{name} must be a list of finite numbers, got {values!r}")
    return [float(value) for value in values]


def _number(name: str, value: Any) -> float | None:
    """Return a factor as a float.

    Raises:
        ValueError: anything but a finite number.
    """
    if value is not None and not _is_finite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return None if value is None else float(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
