"""`vistok decode`: stored tokens or latents back to images and videos."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Device, Dtype, Output, Plugins, TokenizerName, load_tokenizer
from .plugins import load_plugins


def decode(
    tokens: Annotated[Path, typer.Argument(help="Folder of shards.")],
    tokenizer: TokenizerName,
    output: Output,
    keys: Annotated[
        list[str] | None, typer.Option("--keys", help="Decode only this sample; may be repeated.")
    ] = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Decode the finished shards of an incomplete job."),
    ] = False,
    device: Device = "auto",
    dtype: Dtype = "float32",
    plugins: Plugins = None,
) -> None:
    """Decode stored tokens or latents to PNG and MP4 files; run again to finish when stopped."""
    from ..encode.decode import decode_shards
    from ..output_file import check_output_folder

    load_plugins(plugins)
    check_output_folder(output)
    model = load_tokenizer(tokenizer, device, dtype)
    paths = decode_shards(tokens, model, output, keys, show_progress=True, partial=partial)
    print(f"{len(paths)} file(s): {output}")
