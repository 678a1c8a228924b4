"""The classes of diffusers that can be halves of a tokenizer, and those that cannot, and why."""

from collections.abc import Callable
from dataclasses import replace
from math import prod

from ...option_errors import did_you_mean
from .classes import (
    KVAE,
    LTX,
    Allegro,
    Certain,
    CogVideoX,
    Cosmos,
    Flux2,
    Kandinsky,
    KVAEVideo,
    Magvit,
    Mochi,
    OneByOne,
    TemporalDecoder,
    VectorQuantized,
    VidTok,
    Wan,
)
from .wrapped_class import Config, WrappedClass

Compression = Callable[[Config], tuple[int, int]]


def _levels(option: str, time: Callable[[Config], int] = lambda config: 1) -> Compression:
    """Return the compression of a network that halves frames between the levels of an option."""
    return lambda config: (time(config), 2 ** (len(config[option]) - 1))


def _time_declared(config: Config) -> int:
    return config["temporal_compression_ratio"]


def _declared(config: Config) -> tuple[int, int]:
    """Return the compression of a network that is built from it."""
    return config["temporal_compression_ratio"], config["spatial_compression_ratio"]


def _halvings(option: str) -> Callable[[Config], int]:
    """Return the temporal compression of a network with an option of booleans."""
    return lambda config: 2 ** sum(config[option])


def _deep_compression(config: Config) -> tuple[int, int]:
    _, *others = config["encoder_layers_per_block"][:-1]  # the first level always halves
    return 1, 2 ** (1 + sum(layers > 0 for layers in others))


def _ltx(config: Config) -> tuple[int, int]:
    halves = zip(config["downsample_type"], config["spatio_temporal_scaling"], strict=False)
    kinds = [kind for kind, is_used in halves if is_used]
    time = config["patch_size_t"] * 2 ** sum(kind != "spatial" for kind in kinds)
    return time, config["patch_size"] * 2 ** sum(kind != "temporal" for kind in kinds)


def _magvit(config: Config) -> tuple[int, int]:
    blocks = config["down_block_types"][:-1]
    return 2 ** blocks.count("SpatialTemporalDownBlock3D"), 2 ** len(blocks)


def _mochi(config: Config) -> tuple[int, int]:
    return prod(config["temporal_expansions"]), prod(config["spatial_expansions"])


def _vidtok(config: Config) -> tuple[int, int]:
    levels = len(config["ch_mult"])
    space, time = config["spatial_ds"], config["tempo_ds"]
    return 2 ** (2 if time is None else len(time)), 2 ** (
        levels - 1 if space is None else len(space)
    )


def _wan(config: Config) -> tuple[int, int]:
    time, space = _levels("dim_mult", _halvings("temperal_downsample"))(config)
    return time, space * (config.get("patch_size") or 1)


_IMAGES = (
    WrappedClass("AutoencoderKL", _levels("block_out_channels")),
    WrappedClass("AsymmetricAutoencoderKL", _levels("down_block_out_channels"), checkpoints=False),
    Flux2("AutoencoderKLFlux2", _levels("block_out_channels")),
    WrappedClass(
        "AutoencoderKLHunyuanImage",
        lambda config: (1, config["spatial_compression_ratio"]),
        checkpoints=False,
    ),
    KVAE("AutoencoderKLKVAE", _levels("ch_mult"), channels_option="z_channels"),
    Certain("AutoencoderDC", _deep_compression, result="latent", checkpoints=False),
    # Under checkpointing this class forgets to move pixels to [0, 1] before it encodes them.
    Certain("AutoencoderTiny", _levels("encoder_block_out_channels"), checkpoints=False),
    VectorQuantized("VQModel", _levels("block_out_channels"), checkpoints=False),
    TemporalDecoder("AutoencoderKLTemporalDecoder", _levels("block_out_channels")),
)
_CLIPS = (
    Allegro(
        "AutoencoderKLAllegro",
        _levels("block_out_channels", _halvings("temporal_downsample_blocks")),
    ),
    CogVideoX(
        "AutoencoderKLCogVideoX",
        _levels("block_out_channels", _time_declared),
    ),
    Cosmos("AutoencoderKLCosmos", _declared),
    WrappedClass("AutoencoderKLHunyuanVideo", _declared),
    OneByOne("AutoencoderKLHunyuanVideo15", _declared),
    # Under checkpointing the next two recompute with other frames kept by their layers.
    KVAEVideo(
        "AutoencoderKLKVAEVideo",
        _levels("ch_mult", lambda config: config["temporal_compress_times"]),
        channels_option="z_channels",
        checkpoints=False,
    ),
    Magvit("AutoencoderKLMagvit", _magvit, checkpoints=False),
    LTX("AutoencoderKLLTXVideo", _ltx),
    LTX("AutoencoderKLLTX2Video", _ltx),
    Mochi("AutoencoderKLMochi", _mochi),
    Wan("AutoencoderKLQwenImage", _wan, channels_option="z_dim", checkpoints=False),
    Wan("AutoencoderKLWan", _wan, channels_option="z_dim", checkpoints=False),
    VidTok("AutoencoderVidTok", _vidtok, channels_option="z_channels"),
    Kandinsky(
        "Kandinsky6SRVAE",
        _levels("encoder_block_out_channels", _time_declared),
        checkpoints=False,
    ),
)

SUPPORTED: dict[str, WrappedClass] = {
    **{wrapped.name: wrapped for wrapped in _IMAGES},
    **{wrapped.name: replace(wrapped, takes_clips=True) for wrapped in _CLIPS},
}

# Classes that code images or clips, but not as a tokenizer does; each with what to do instead.
REFUSED = {
    "AutoencoderKLHunyuanImageRefiner": (
        "its pipelines feed the latents of an image twice to their model, which no statistics "
        "express; use AutoencoderKLHunyuanImage"
    ),
    "AutoencoderKLMiniMaxH3": (
        "its pixels are normalized like ImageNet's, and it can restore no single image; score it "
        "as a Python function with vistok.evaluate"
    ),
    "AutoencoderKLQwenImage21": (
        "its pixels have an alpha channel, vistok codes RGB; use AutoencoderKLQwenImage"
    ),
    "AutoencoderRAE": (
        "it encodes by a representation model with pixels and sizes of its own; score it as a "
        "Python function with vistok.evaluate"
    ),
    "ConsistencyDecoderVAE": (
        "its decoder samples in several steps; use the AutoencoderKL whose latents it decodes, or "
        "score it as a Python function with vistok.evaluate"
    ),
    "LTX2VideoDiffusionDecoderModel": (
        "it has no encoder, and decodes by sampling; use AutoencoderKLLTX2Video, whose latents it "
        "decodes"
    ),
}

# Parts of the names of classes that code neither images nor clips.
_NOT_VISUAL = ("Audio", "MMAudio", "Oobleck", "Vocoder", "Protein", "SAME")


def find_class(name: str | None) -> WrappedClass:
    """Return the description of a class.

    Raises:
        ValueError: no name, an unknown one, or a class that cannot be a tokenizer, with the reason.
    """
    if name is None:
        raise ValueError(
            "class is not set: name an autoencoder of diffusers, such as AutoencoderKL, or give "
            "start.source=diffusers:<Class>:<path or hub id>, which names one"
        )
    if name in SUPPORTED:
        return SUPPORTED[name]
    if name in REFUSED:
        raise ValueError(f"{name} cannot be a tokenizer: {REFUSED[name]}")
    if any(part in name for part in _NOT_VISUAL):
        raise ValueError(f"{name} cannot be a tokenizer: it codes neither images nor clips")
    raise ValueError(
        f"class must be one of {', '.join(SUPPORTED)}, got {name!r}{did_you_mean(name, SUPPORTED)}"
    )
