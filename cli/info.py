"""`vistok info`: parameters, compression, rates and cost of a tokenizer or a config."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import LARGEST, AsJson, Plugins, print_json
from .plugins import load_plugins

if TYPE_CHECKING:
    from ..tokenizers.layout import Size
    from ..tokenizers.tokenizer import VisualTokenizer

DEFAULT_SIDE = 256


def info(
    name: Annotated[
        str,
        typer.Argument(
            metavar="T|CONFIG", help="A saved tokenizer, diffusers:Class:PATH, or a config."
        ),
    ],
    size: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Side for rates and cost.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Frames for rates and cost.")
    ] = None,
    as_json: AsJson = False,
    plugins: Plugins = None,
) -> None:
    """Show parameters, compression, rates and cost of a tokenizer or a config."""
    from dataclasses import asdict

    from ..tokenizers.summary import summarize

    load_plugins(plugins)
    tokenizer, (default_frames, default_side, _) = open_without_weights(name)
    side = size or default_side
    summary = summarize(tokenizer, (frames or default_frames, side, side))
    if as_json:
        print_json(asdict(summary))
        return
    T, H, W = summary.size
    rows = [
        ("bottleneck", summary.bottleneck),
        ("compression (T, H, W)", " x ".join(map(str, summary.compression))),
        ("legal sizes", summary.legal_sizes),
        *[(f"parameters, {part}", f"{count:,}") for part, count in summary.parameters.items()],
        ("weights in fp32", _mebibytes(summary.weight_bytes)),
        ("a latent sees", _reach(summary.encoder_radius, "pixels")),
        ("a pixel sees", _reach(summary.decoder_radius, "latents")),
        (f"at {T} x {H} x {W}", ""),
        ("  positions", f"{summary.positions:,}"),
        ("  tokens", "continuous" if summary.tokens is None else f"{summary.tokens:,}"),
        ("  bits per pixel", f"{summary.bits_per_pixel:.4f}"),
        ("  encode", f"{summary.encode_multiply_adds / 1e9:,.2f} G multiply-adds"),
        ("    activations", f"about {_mebibytes(summary.encode_bytes)} in fp32"),
        ("  decode", f"{summary.decode_multiply_adds / 1e9:,.2f} G multiply-adds"),
        ("    activations", f"about {_mebibytes(summary.decode_bytes)} in fp32"),
    ]
    for label, value in rows:
        print(f"{label:<24}{value}".rstrip())


def open_without_weights(name: str) -> "tuple[VisualTokenizer, Size]":
    """Build a tokenizer on the meta device, where weights are neither made nor read.

    Args:
        name: folder or hub id of a saved tokenizer, `diffusers:<Class>:<path or id>`, path of a
            YAML file, or name of a shipped config.

    Returns:
        The tokenizer and the size (T, H, W) its config trains on; an image of about 256 pixels for
        a saved tokenizer.

    Raises:
        FileNotFoundError: nothing has that name.
        ValueError: the config is wrong.
    """
    import torch

    from ..config import load_config, shipped_names
    from ..tokenizers import open as opening
    from ..train.config.files import load_run_config

    is_config = name in shipped_names() or Path(name).suffix in (".yaml", ".yml")
    if is_config:
        with torch.device("meta"):
            data = load_config(name).get("data") or {}
            lacks_source = isinstance(data, dict) and data.get("source") is None
            config = load_run_config(name, ["data.source=unused"] if lacks_source else [])
            size = (config.data.frames, config.data.size, config.data.size)
            return config.build_tokenizer(), size
    tokenizer = opening.open_without_weights(name)
    compression = tokenizer.spatial_compression
    side = -(-DEFAULT_SIDE // compression) * compression
    return tokenizer, (tokenizer.size_rule.first_frames, side, side)


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


def _reach(radius: int | None, unit: str) -> str:
    return "the whole frame" if radius is None else f"{radius} {unit} beyond its own cell"
