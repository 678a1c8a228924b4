"""`vistok reconstruct`: images and videos through a tokenizer and back."""

from dataclasses import asdict
from typing import Annotated

import typer

from .options import (
    LARGEST,
    AsJson,
    Device,
    Dtype,
    Output,
    Plugins,
    TokenizerName,
    load_tokenizer,
    print_json,
    report_bad,
)
from .plugins import load_plugins


def reconstruct(
    inputs: Annotated[list[str], typer.Argument(help="Images, videos, folders or globs.")],
    tokenizer: TokenizerName,
    output: Output,
    tile: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=LARGEST,
            help="Tile side in pixels; 0 disables tiling; by default large frames are tiled.",
        ),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    as_json: AsJson = False,
    plugins: Plugins = None,
) -> None:
    """Encode and decode images and videos of any size and length."""
    from ..data.sources.media import READ_ERRORS, bad_file
    from ..data.sources.source import list_source
    from ..eval.reconstructors.reconstruct import check_outputs, reconstruct_file
    from ..output_file import OutputError, check_output_folder, finite_numbers
    from ..progress import track

    load_plugins(plugins)
    check_output_folder(output)
    listings = [list_source(name) for name in inputs]
    files = [file for listing in listings for file in listing.files]
    check_outputs(files, output)
    model = load_tokenizer(tokenizer, device, dtype)
    results = []
    bad = [bad for listing in listings for bad in listing.skipped]
    for file in track(files, "reconstructing", len(files)):
        try:
            result = reconstruct_file(file, model, output, tile=tile)
        except OutputError:
            raise  # not a reason to leave out the input
        except READ_ERRORS as error:
            bad.append(bad_file(file.path, error))
            continue
        results.append(result)
        if not as_json:
            size = f"{result.frames} x {result.width} x {result.height}"
            print(f"{result.psnr:6.2f} dB  {size:>18}  {result.path}  {result.side_by_side.name}")
    if as_json:
        paths = [{"path": str(r.path), "side_by_side": str(r.side_by_side)} for r in results]
        rows = [finite_numbers({**asdict(r), **p}) for r, p in zip(results, paths, strict=True)]
        print_json(rows)
    report_bad(bad)
    if len(results) < len(files):
        raise typer.Exit(1)
