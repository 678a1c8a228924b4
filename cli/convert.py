"""`vistok convert`: published checkpoints to tokenizers, and back."""

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, Output, Plugins, print_json
from .plugins import load_plugins


def convert(
    family: Annotated[
        str,
        typer.Argument(
            help="Family of the checkpoint: kl (diffusers' AutoencoderKL), onevae, wan (Wan 2.1's "
            "VAE), wetok, or with --reverse diffusers (any halves of theirs). Others have no "
            "converter yet."
        ),
    ],
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="Published file (.ckpt, .pth, .safetensors), or folder for kl and wan; with "
            "--reverse, tokenizer."
        ),
    ],
    output: Output,
    weights: Annotated[
        str | None,
        typer.Option(help="ema (the default where the file has averages) or raw."),
    ] = None,
    bits_per_group: Annotated[
        int | None, typer.Option(min=1, help="Bits per index; 8 in all published WeToks.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML or JSON with what tensors do not tell; for onevae quant_type and "
            "quant_config, such as levels."
        ),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            help="With --reverse, what is written for wan: original (the flat file, the default) "
            "or diffusers (a folder)."
        ),
    ] = None,
    reverse: Annotated[
        bool,
        typer.Option("--reverse", help="Write a tokenizer as a checkpoint of the published kind."),
    ] = False,
    as_json: AsJson = False,
    plugins: Plugins = None,
) -> None:
    """Convert a published checkpoint to a tokenizer, or back; strict, tensor by tensor."""
    from ..output_file import check_output_folder
    from ..tokenizers.converters.catalog import make_converter
    from ..tokenizers.tokenizer import VisualTokenizer

    load_plugins(plugins)
    options = {
        "weights": weights,
        "bits_per_group": bits_per_group,
        "version": version,
        "config": config,
    }
    converter = make_converter(family, options, reverse)
    check_output_folder(output)
    if reverse:
        path = converter.write(VisualTokenizer.from_pretrained(checkpoint), output)
        print_json({"checkpoint": str(path)}) if as_json else print(f"checkpoint: {path}")
        return
    conversion = converter.read(checkpoint)
    conversion.save(output)
    if as_json:
        facts = {"weights": conversion.weights, "used": conversion.used}
        print_json({**facts, "ignored": conversion.ignored, "tokenizer": str(output)})
        return
    print(f"used: {conversion.weights}")
    for reason, count in conversion.ignored.items():
        print(f"ignored: {count} ({reason})")
    print(f"tokenizer: {output}")
