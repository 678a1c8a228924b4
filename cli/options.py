"""Options that several commands share, and how their values are read and results are printed."""

import math
import os
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    import torch

    from ..data.sources.media import BadFile
    from ..tokenizers.tokenizer import VisualTokenizer

Choice = TypeVar("Choice", bound=str)

# The largest number that options take: torch and file formats count in 32 bits.
LARGEST = 2**31 - 1

# The largest random seed: torch counts them in 64 bits, and NumPy takes no negative ones.
LARGEST_SEED = 2**63 - 1


def finite(value: float) -> float:
    """Return the value of an option unless it is NaN or infinite; ranges let NaN pass."""
    if not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


Source = Annotated[
    str,
    typer.Argument(
        help="Folder, glob, shards-{000..009}.tar, Parquet, list (txt, csv, jsonl), URL of one of "
        "these, or samples:heldout."
    ),
]
TokenizerName = Annotated[
    str,
    typer.Option("--tokenizer", help="Folder of a saved tokenizer, hub id, diffusers:Class:PATH."),
]
Output = Annotated[Path, typer.Option("--output", help="Folder for the results.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")]
Dtype = Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or float16.")]
Workers = Annotated[
    int, typer.Option("--workers", min=0, max=LARGEST, help="Number of reading processes.")
]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="MODULE",
        help="Python module that registers kinds of its own; may be repeated.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def complete_config(incomplete: str) -> list[str]:
    """Return the shipped configs whose names begin like this, for the shell's completion."""
    from ..config import shipped_names

    return [name for name in shipped_names() if name.startswith(incomplete)]


def load_tokenizer(name: str, device: str, dtype: str) -> "VisualTokenizer":
    """Load a saved tokenizer in eval mode onto a device."""
    from ..tokenizers import open as opening

    tokenizer: Any = opening.load_tokenizer(name, parse_dtype(dtype))
    return tokenizer.to(parse_device(device))


def parse_dtype(name: str) -> "torch.dtype":
    """Return the dtype that `--dtype` names."""
    import torch

    return getattr(torch, one_of("--dtype", name, ("float32", "bfloat16", "float16")))


def parse_device(name: str) -> str:
    """Return the device that `--device` names."""
    from ..device import resolve_device

    return resolve_device(name)


def one_of(option: str, value: str, allowed: Collection[Choice]) -> Choice:
    """Return the value of an option that has a fixed set of them.

    Raises:
        ValueError: the value is not among those allowed.
    """
    from ..option_errors import did_you_mean

    for choice in allowed:
        if value == choice:
            return choice
    raise ValueError(
        f"{option} must be one of {', '.join(allowed)}, got {value!r}{did_you_mean(value, allowed)}"
    )


def split_words(options: Iterable[str] | None) -> list[str]:
    """Split options that may be repeated and may hold commas into their words."""
    return [word.strip() for option in options or () for word in option.split(",") if word.strip()]


def is_main_process() -> bool:
    """Return whether this is the first of the processes that torchrun or accelerate started."""
    return os.environ.get("RANK", "0") == "0"


def report_bad(files: "Iterable[BadFile]") -> None:
    """List files that were left out, each with its reason, on stderr."""
    for bad in files:
        kind = f" ({bad.exception})" if bad.exception not in bad.reason else ""
        sys.stderr.write(f"left out {bad.path}: {bad.reason}{kind}\n")


def print_json(value: Any) -> None:
    """Print a result for machines, as JSON on stdout."""
    from ..output_file import dumps

    print(dumps(value))
