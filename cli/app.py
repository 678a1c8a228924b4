"""The command line. `--help` answers without loading torch: every command imports what it needs.

Exit codes: 0 done, 1 failed while working, 2 wrong usage or config, 130 interrupted. Progress and
messages go to stderr, results to stdout.
"""

import logging
import os
import sys
import traceback
from typing import Annotated

import typer

from .. import __version__
from .convert import convert
from .decode import decode
from .encode import encode
from .evaluate import evaluate
from .info import info
from .inspect import inspect
from .page import serve_page
from .quickstart import quickstart
from .reconstruct import reconstruct
from .train import train

INTERRUPTED = 130

app = typer.Typer(
    name="vistok",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Train, run and score discrete and continuous visual tokenizers for images and video.",
    epilog="Add --debug to any command to see the traceback behind an error.",
)


def show_version(wanted: bool) -> bool:
    """Print the version and exit if that was asked for, else return the option as it is."""
    if wanted:
        print(f"vistok {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options that stand before the name of a command."""


app.command()(quickstart)
app.command()(train)
app.command()(reconstruct)
app.command()(encode)
app.command()(decode)
app.command("eval")(evaluate)
app.command()(convert)
app.command()(inspect)
app.command()(info)
app.command("app")(serve_page)


def main() -> None:
    """Run the command line; a user's mistake is one message and exit code 2."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("vistok").setLevel(logging.INFO)
    try:
        app(prog_name="vistok")  # completion belongs to this name, also with python -m
    except (KeyboardInterrupt, SystemExit) as stop:
        # Typer turns Ctrl-C into an exit with this code, without a word.
        if isinstance(stop, SystemExit) and stop.code != INTERRUPTED:
            raise
        resuming = "train, encode, decode, eval and quickstart resume if run again"
        sys.stderr.write(f"\ninterrupted; {resuming}\n")
        sys.exit(INTERRUPTED)
    except Exception as error:
        fail(error, debug)


def fail(error: Exception, debug: bool) -> None:
    """Print an error and exit; where all ranks of a run have the same one, it is printed once."""
    from ..rank_failure import StoppedByAnotherRankError, exit_at_once

    shared = isinstance(error, StoppedByAnotherRankError) and error.is_shared
    cause = error.__cause__ if shared else error
    if debug:
        traceback.print_exception(error)
    elif not shared:
        rank = f"rank {os.environ['RANK']}: " if "RANK" in os.environ else ""
        sys.stderr.write(f"error: {rank}{error or type(error).__name__}\n")
    wrong_usage = isinstance(cause, ValueError | FileNotFoundError) and not isinstance(
        cause, FloatingPointError
    )
    exit_at_once(2 if wrong_usage else 1)
