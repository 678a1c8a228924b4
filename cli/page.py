"""`vistok app`: a page on this machine to try tokenizers and codecs on images and clips."""

import sys
from typing import Annotated

import typer

from .options import Device, Dtype, parse_device, parse_dtype

HIGHEST_PORT = 65535


def serve_page(
    tokenizers: Annotated[
        list[str] | None,
        typer.Option(
            "--tokenizer",
            help="Folder, hub id, continuous:DIR, diffusers:Class:PATH, jpeg:q=10,50,90, ...; as "
            "for vistok eval; may be repeated.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than localhost open it to anyone.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=HIGHEST_PORT, help="Port; by default the first free one from 7860 on."
        ),
    ] = None,
    max_side: Annotated[
        int, typer.Option(min=16, max=8192, help="Larger images are downscaled to this long side.")
    ] = 768,
    max_frames: Annotated[
        int, typer.Option(min=1, max=1024, help="Longer clips are cut to their first frames.")
    ] = 17,
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Open a page to compare tokenizers and codecs on your images and clips.

    It needs gradio (the extra [app]). The page is served on this machine only,
    without share links, analytics or access to the network.
    """
    from ..eval.reconstructors.catalog import open_all
    from ..page.clip import Limits
    from ..page.page import import_gradio, serve

    import_gradio()  # before tokenizers are loaded, which may take long
    serve(
        open_all(tokenizers or [], parse_device(device), parse_dtype(dtype)),
        host=host,
        port=port,
        limits=Limits(side=max_side, frames=max_frames),
        on_start=_report_address,
    )


def _report_address(url: str) -> None:
    print(url, flush=True)
    sys.stderr.write("press Ctrl-C to stop\n")
