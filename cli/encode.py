"""`vistok encode`: a data set to shards of tokens or latents."""

from typing import Annotated

import typer

from .options import (
    LARGEST,
    AsJson,
    Device,
    Dtype,
    Output,
    Plugins,
    Source,
    TokenizerName,
    Workers,
    finite,
    load_tokenizer,
    one_of,
    print_json,
    report_bad,
)
from .plugins import load_plugins


def encode(
    source: Source,
    tokenizer: TokenizerName,
    output: Output,
    what: Annotated[str, typer.Option(help="tokens or latents.")] = "tokens",
    size: Annotated[int, typer.Option(min=1, max=LARGEST, help="Short side, in pixels.")] = 256,
    keep_aspect: Annotated[
        bool, typer.Option("--keep-aspect", help="Encode whole images instead of square crops.")
    ] = False,
    frames: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Frames per clip; 1 encodes images.")
    ] = 1,
    stride: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Step between the frames of a clip.")
    ] = 1,
    shard_size: Annotated[int, typer.Option(min=1, max=LARGEST, help="Samples per shard.")] = 512,
    batch_size: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Samples per forward pass.")
    ] = 16,
    workers: Workers = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Maximum number of files to encode.")
    ] = None,
    max_bad: Annotated[
        float,
        typer.Option(
            min=0,
            max=LARGEST,
            callback=finite,
            help="Unreadable files tolerated: a share if below 1, otherwise a number.",
        ),
    ] = 0.01,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start afresh where the output holds another job.")
    ] = False,
    device: Device = "auto",
    dtype: Dtype = "float32",
    as_json: AsJson = False,
    plugins: Plugins = None,
) -> None:
    """Encode a source to Parquet shards; run again to finish a job that was stopped."""
    from ..encode.job import encode_source
    from ..output_file import check_output_folder

    load_plugins(plugins)
    check_output_folder(output)
    result = encode_source(
        source,
        load_tokenizer(tokenizer, device, dtype),
        output,
        name=tokenizer,
        what=one_of("--what", what, ("tokens", "latents")),
        size=size,
        keep_aspect=keep_aspect,
        frames=frames,
        stride=stride,
        batch_size=batch_size,
        shard_size=shard_size,
        workers=workers,
        limit=limit,
        overwrite=overwrite,
        max_bad=max_bad,
        show_progress=True,
    )
    report_bad(result.bad)
    if as_json:
        print_json({**vars(result), "bad": [vars(bad) for bad in result.bad]})
    else:
        new = f"{result.shards_written} new" if result.shards_written else "all already present"
        print(f"{result.num_samples} samples in {result.num_shards} shard(s), {new}: {output}")
