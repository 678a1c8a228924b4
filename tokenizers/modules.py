"""The three modules of a tokenizer: their options in its config, and where their classes live."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..models.catalog import DECODER_DERIVED, DECODERS, ENCODER_DERIVED, ENCODERS
from ..models.diffusers_halves import DiffusersDecoder, DiffusersEncoder
from ..models.network import Decoder, Encoder
from ..models.recorded_arguments import options_of
from .bottlenecks.bottleneck import Bottleneck
from .bottlenecks.catalog import BOTTLENECKS

FAMILIES = {
    "encoder": (Encoder, ENCODERS, ENCODER_DERIVED),
    "bottleneck": (Bottleneck, BOTTLENECKS, frozenset[str]()),
    "decoder": (Decoder, DECODERS, DECODER_DERIVED),
}

# The key of config.json that names the modules of kinds from outside the package. Nothing is
# imported because of it: messages about unknown kinds quote it.
REGISTERED_BY = "_registered_by"


def with_class_of(encoder: Mapping[str, Any], decoder: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a decoder's options, in which the class of diffusers and its config may be unset.

    Args:
        encoder: options of the encoder, whose class and config are those of the decoder, too.
        decoder: options of the decoder.
    """
    if not all(part.get("kind") == "diffusers" for part in (encoder, decoder)):
        return decoder
    inherited = {key: encoder.get(key) for key in ("class", "config")}
    return {**decoder, **{k: v for k, v in inherited.items() if decoder.get(k) is None}}


def check_linear_layers(encoder: Encoder, decoder: Decoder) -> None:
    """Raise unless both halves of diffusers have linear layers beside the bottleneck, or neither.

    Latents are normalized before such a layer only, and restored after such a layer only.
    """
    if not isinstance(encoder, DiffusersEncoder) or not isinstance(decoder, DiffusersDecoder):
        return
    has_layer = {"encoder": encoder.linear is not None, "decoder": decoder.linear is not None}
    if has_layer["encoder"] == has_layer["decoder"]:
        return
    one, other = sorted(has_layer, key=has_layer.__getitem__, reverse=True)
    raise ValueError(
        f"the {one} has a linear layer beside the bottleneck, the {other} has none: this "
        f"{encoder.wrapped.name} has {encoder.latent_channels} latents, the bottleneck takes "
        f"{encoder.out_channels} channels; set linear to true in both"
    )


def check_modules(parts: Mapping[str, Any]) -> None:
    """Raise unless encoder, bottleneck and decoder are modules of the right families that fit.

    Args:
        parts: the modules by name.

    Raises:
        ValueError: a module of another family, or networks with other channels than the bottleneck.
    """
    for name, (base, _, _) in FAMILIES.items():
        if not isinstance(parts[name], base):
            raise ValueError(
                f"{name} must be a module that derives from vistok.{base.__name__}, "
                f"got {type(parts[name]).__name__}"
            )
    bottleneck = parts["bottleneck"]
    for name, option, channels in (
        ("encoder", "out_channels", bottleneck.dim),
        ("decoder", "in_channels", bottleneck.code_dim),
    ):
        given = (parts[name].arguments() or {}).get(option, channels)
        if given != channels:
            raise ValueError(
                f"the {name} must have {option}={channels}, as the bottleneck does, got {given}"
            )


def configs_of(parts: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the config keys that describe three modules, and what cannot be described.

    Args:
        parts: encoder, bottleneck and decoder by name.

    Returns:
        Options by config key; for modules without options the name of their class. And one line
        per module that no config can describe.
    """
    configs: dict[str, Any] = {}
    problems = []
    for name, (_, family, derived) in FAMILIES.items():
        cls = type(parts[name])
        try:
            configs[f"{name}_config"] = options_of(family, parts[name], name, derived)
        except ValueError as error:
            problems.append(str(error))
            configs[f"{name}_config"] = {"class": f"{cls.__module__}.{cls.__qualname__}"}
    return configs, problems


def modules_of_kinds(tokenizer: nn.Module) -> dict[str, str]:
    """Return the kinds in a tokenizer that are not of this package, each with its module."""
    package = __name__.partition(".")[0]
    return {
        kind: cls.__module__
        for _, family, _ in FAMILIES.values()
        for kind, cls in family.items()
        if cls.__module__.partition(".")[0] != package
        and any(isinstance(module, cls) for module in tokenizer.modules())
    }
