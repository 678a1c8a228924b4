"""`vistok quickstart`: a small tokenizer from the bundled images, in minutes."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Output


def quickstart(
    output: Output = Path("quickstart"),
    minutes: Annotated[
        float, typer.Option(help="Time for all steps together, at least 0.5.")
    ] = 4.0,
) -> None:
    """Train a small tokenizer on the bundled images, then encode, decode and score with it."""
    from ..quickstart import quickstart as run

    run(output, minutes)
