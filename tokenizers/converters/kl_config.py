"""The config of diffusers' AutoencoderKL, and the tokenizers that are such networks."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, PositiveInt

from ...component import validate
from ...component_options import STRICT
from ...models.causal_autoencoder import CausalDecoder, CausalEncoder
from ...models.published.kl import kl_options
from ..bottlenecks.kl import KL
from ..tokenizer import VisualTokenizer
from .converter import complete_options

CLASS = "AutoencoderKL"

NO_KL = (
    "this tokenizer is not an AutoencoderKL: its stages are not those of kl_options without "
    "times, or its bottleneck is not kl with logvar per_channel"
)


class KLConfig(BaseModel):
    """The settings of an AutoencoderKL, with its defaults; only the values that our blocks have."""

    model_config = STRICT

    in_channels: Literal[3] = 3
    out_channels: Literal[3] = 3
    down_block_types: tuple[Literal["DownEncoderBlock2D"], ...] = ("DownEncoderBlock2D",)
    up_block_types: tuple[Literal["UpDecoderBlock2D"], ...] = ("UpDecoderBlock2D",)
    block_out_channels: tuple[PositiveInt, ...] = (64,)
    layers_per_block: PositiveInt = 1
    act_fn: Literal["silu"] = "silu"
    latent_channels: PositiveInt = 4
    norm_num_groups: Literal[32] = 32
    sample_size: int | tuple[int, ...] = 32
    scaling_factor: float | None = 0.18215
    shift_factor: float | None = None
    latents_mean: tuple[float, ...] | None = None
    latents_std: tuple[float, ...] | None = None
    force_upcast: bool = True
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True

    @property
    def levels(self) -> int:
        """Number of resolutions of the network."""
        return len(self.block_out_channels)

    def networks(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the options of encoder and decoder."""
        return kl_options(
            self.block_out_channels,
            self.layers_per_block,
            middle_attention=self.mid_block_add_attention,
            quant_conv=self.use_quant_conv,
            post_quant_conv=self.use_post_quant_conv,
        )

    def build(self) -> VisualTokenizer:
        """Build the tokenizer of this network, with its latent scale."""
        encoder, decoder = self.networks()
        return VisualTokenizer(
            {"kind": "causal", **encoder},
            {"kind": "kl", "latent_channels": self.latent_channels},
            {"kind": "causal", **decoder},
            latents_mean=self.latents_mean,
            latents_std=self.latents_std,
            scaling_factor=self.scaling_factor,
            shift_factor=self.shift_factor,
        )


def check_config(config: Mapping[str, Any]) -> KLConfig:
    """Return an AutoencoderKL's config if our blocks can be that network.

    Args:
        config: plain values, as in config.json; missing settings have the defaults of the class.

    Raises:
        ValueError: another class, an unknown setting, or one that our blocks do not have.
    """
    found = config.get("_class_name", CLASS)
    if found != CLASS:
        raise ValueError(f"the family kl reads diffusers' {CLASS}, got a config of {found}")
    settings = {name: value for name, value in config.items() if not name.startswith("_")}
    try:
        checked: KLConfig = validate(KLConfig, settings, CLASS)
    except ValueError as error:
        raise ValueError(
            f"{error}\nvistok's blocks cannot be this network; diffusers:{CLASS}:FOLDER takes "
            "it as it is"
        ) from error
    for name in ("down_block_types", "up_block_types"):
        if len(getattr(checked, name)) != checked.levels or not checked.levels:
            raise ValueError(
                f"{CLASS}.{name} and block_out_channels must have one entry per level, got "
                f"{len(getattr(checked, name))} and {checked.levels}"
            )
    _check_scale(checked)
    return checked


def config_of(tokenizer: VisualTokenizer) -> KLConfig:
    """Return the config of the AutoencoderKL that a tokenizer is.

    Raises:
        ValueError: the tokenizer is not an AutoencoderKL.
    """
    ours, bottleneck = tokenizer.config, tokenizer.bottleneck
    encoder, decoder = tokenizer.encoder, tokenizer.decoder
    if not (isinstance(encoder, CausalEncoder) and isinstance(decoder, CausalDecoder)):
        raise ValueError(NO_KL)
    if not isinstance(bottleneck, KL) or bottleneck.logvar != "per_channel":
        raise ValueError(NO_KL)
    *levels, middle = encoder.stage_table
    if not levels or not levels[0].blocks:
        raise ValueError(NO_KL)
    # diffusers applies both scales, one after the other; we apply the measured one alone.
    measured = ours["latents_mean"] is not None
    found = KLConfig(
        down_block_types=("DownEncoderBlock2D",) * len(levels),
        up_block_types=("UpDecoderBlock2D",) * len(levels),
        block_out_channels=tuple(stage.width for stage in levels),
        layers_per_block=levels[0].blocks,
        latent_channels=bottleneck.code_dim,
        scaling_factor=1.0
        if measured or ours["scaling_factor"] is None
        else ours["scaling_factor"],
        shift_factor=None if measured else ours["shift_factor"],
        latents_mean=ours["latents_mean"],
        latents_std=ours["latents_std"],
        use_quant_conv=encoder.quant_conv is not None,
        use_post_quant_conv=decoder.post_quant_conv is not None,
        mid_block_add_attention=middle.attention == "spatial",
    )
    for network, options, name in zip(
        (CausalEncoder, CausalDecoder), found.networks(), ("encoder", "decoder"), strict=True
    ):
        given = complete_options(network, ours[f"{name}_config"])
        if complete_options(network, {"kind": "causal", **options}) != given:
            raise ValueError(NO_KL)
    return found


def _check_scale(config: KLConfig) -> None:
    """Raise for two latent scales, of which `VisualTokenizer.normalize` would apply one."""
    measured = config.latents_mean is not None or config.latents_std is not None
    if measured and (config.scaling_factor not in (None, 1.0) or config.shift_factor):
        raise ValueError(
            f"{CLASS} has latents_mean and latents_std beside scaling_factor "
            f"{config.scaling_factor} and shift_factor {config.shift_factor}, and vistok applies "
            "one scale; in config.json divide latents_std by scaling_factor, set scaling_factor to "
            "1.0 and shift_factor to null"
        )
