"""The config of diffusers' AutoencoderKLWan, and its counterpart for a tokenizer of ours."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, PositiveInt

from ...component import validate
from ...component_options import STRICT
from ...models.blocks.latent_scale import LatentScale
from .wan_architecture import REMEDY, WanArchitecture

CLASS = "AutoencoderKLWan"

# Statistics of Wan 2.1's latents, as published in its code and in diffusers.
LATENTS_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
LATENTS_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip
PUBLISHED = {"latents_mean": LATENTS_MEAN, "latents_std": LATENTS_STD}


class WanConfig(BaseModel):
    """The settings of an AutoencoderKLWan, with its defaults; only the values that we support."""

    model_config = STRICT

    base_dim: PositiveInt = 96
    decoder_base_dim: PositiveInt | None = None
    z_dim: PositiveInt = 16
    dim_mult: tuple[PositiveInt, ...] = (1, 2, 4, 4)
    num_res_blocks: PositiveInt = 2
    attn_scales: tuple[()] = ()
    temperal_downsample: tuple[bool, ...] = (False, True, True)
    dropout: float = 0.0
    latents_mean: tuple[float, ...] = LATENTS_MEAN
    latents_std: tuple[float, ...] = LATENTS_STD
    is_residual: Literal[False] = False
    in_channels: Literal[3] = 3
    out_channels: Literal[3] = 3
    patch_size: None = None
    scale_factor_temporal: int | None = 4
    scale_factor_spatial: int | None = 8

    @property
    def architecture(self) -> WanArchitecture:
        """The sizes of the network."""
        return WanArchitecture(
            width=self.base_dim,
            decoder_width=self.decoder_base_dim or self.base_dim,
            multipliers=self.dim_mult,
            temporal=self.temperal_downsample,
            blocks=self.num_res_blocks,
            latent_channels=self.z_dim,
        )

    @property
    def scale(self) -> dict[str, tuple[float, ...]]:
        """The statistics of the latents; none where Wan 2.1's were left in for other latents."""
        given = {"latents_mean": self.latents_mean, "latents_std": self.latents_std}
        return {} if given == PUBLISHED and self.z_dim != len(LATENTS_MEAN) else given


def check_config(config: Mapping[str, Any]) -> WanConfig:
    """Return an AutoencoderKLWan's config if our blocks can be that network.

    Args:
        config: plain values, as in config.json; missing settings have the defaults of the class.

    Raises:
        ValueError: another class, an unknown setting, or one that our blocks do not have.
    """
    found = config.get("_class_name", CLASS)
    if found != CLASS:
        raise ValueError(f"the family wan reads diffusers' {CLASS}, got a config of {found}")
    residual = [name for name in ("is_residual", "patch_size") if config.get(name)]
    if residual:
        raise ValueError(
            f"this {CLASS} is Wan 2.2's residual variant ({' and '.join(residual)} set), which "
            f"vistok's blocks cannot be; {REMEDY}"
        )
    settings = {name: value for name, value in config.items() if not name.startswith("_")}
    try:
        checked: WanConfig = validate(WanConfig, settings, CLASS)
    except ValueError as error:
        raise ValueError(f"{error}\nvistok's blocks cannot be this network; {REMEDY}") from error
    if len(checked.temperal_downsample) != len(checked.dim_mult) - 1:
        raise ValueError(
            f"{CLASS}.temperal_downsample must have one entry per downsampling, "
            f"{len(checked.dim_mult) - 1}, got {len(checked.temperal_downsample)}"
        )
    return checked


def config_of(architecture: WanArchitecture, scale: LatentScale) -> WanConfig:
    """Return the config of the AutoencoderKLWan with these sizes and statistics of the latents.

    Raises:
        ValueError: statistics that an AutoencoderKLWan has no place for.
    """
    channels = architecture.latent_channels
    mean, std = scale.latents_mean, scale.latents_std
    if mean is None or std is None:
        mean, std = [scale.shift_factor or 0.0] * channels, [1.0] * channels
    if scale.latent_patch_size > 1 or any(isinstance(value, Sequence) for value in mean):
        raise ValueError(
            f"{CLASS} has one mean and one standard deviation per latent channel, and this "
            "tokenizer has them per frame or per packed square; write the original file"
        )
    factor = 1.0 if scale.scaling_factor is None else scale.scaling_factor
    plain: Any = zip(mean, std, strict=True)
    means, deviations = zip(*((m, s / factor) for m, s in plain), strict=True)
    return WanConfig(
        base_dim=architecture.width,
        decoder_base_dim=None
        if architecture.decoder_width == architecture.width
        else architecture.decoder_width,
        z_dim=channels,
        dim_mult=architecture.multipliers,
        num_res_blocks=architecture.blocks,
        temperal_downsample=architecture.temporal,
        latents_mean=means,
        latents_std=deviations,
        scale_factor_temporal=2 ** sum(architecture.temporal),
        scale_factor_spatial=2 ** (architecture.levels - 1),
    )
