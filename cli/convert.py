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
            help="Family of the checkpoint: kl (diffusers' AutoencoderKL), wetok, or with "
            "--reverse diffusers (any halves of theirs). Others have no converter yet."
        ),
    ],
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="Published file (.ckpt, .safetensors), or folder for kl; with --reverse, "
            "tokenizer."
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
    converter = make_converter(family, {"weights": weights, "bits_per_group": bits_per_group})
    check_output_folder(output)
    if reverse:
        for option, value in (("--weights", weights), ("--bits-per-group", bits_per_group)):
            if value is not None:
                raise ValueError(f"{option} has no effect with --reverse")
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
