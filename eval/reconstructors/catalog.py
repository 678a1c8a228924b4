"""Opening reconstructors by name or from Python objects.

    DIR or hub id                    a saved VisualTokenizer
    continuous:<DIR or hub id>       the continuous path of a tokenizer that has two paths
    diffusers:<Class>:<path or id>   an autoencoder of diffusers
    folder:DIR                       existing reconstructions
    jpeg:q=50  webp:q=50  avif:q=50  Pillow
    h264:crf=28  hevc:crf=28  av1:crf=35  FFmpeg
    bicubic:f=8                      downscaling and upscaling
    identity                         the images themselves

A list of values is a sweep: `jpeg:q=10,30,50` opens three reconstructors, each of which becomes a
row of the report and a point of a curve. A registered kind is written `kind`, or with options of
its constructor, read as YAML, `kind:strength=0.5,mode=soft`.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...component import build
from ...config import read_value
from ...option_errors import REGISTER_FIRST, did_you_mean
from ...tokenizers.bottlenecks.dual_path import PathName
from ...tokenizers.open import load_tokenizer
from ...tokenizers.tokenizer import VisualTokenizer
from .bicubic import Bicubic
from .folder import Folder
from .function import Function
from .identity import Identity
from .image_codec import IMAGE_FORMATS, ImageCodec
from .reconstructor import Reconstructor
from .saved_tokenizer import TokenizerReconstructor
from .unique_names import with_unique_names
from .video_codec import VIDEO_FORMATS, VideoCodec

# Everything that can be scored: a name, a folder, or a Python object.
Scorable = str | Path | Reconstructor | VisualTokenizer | Callable[[Tensor], Tensor]

# Reconstructors with one number: its name, an example, and the constructor.
NUMBERED: dict[str, tuple[str, int, Callable[[str, int], Reconstructor]]] = {
    "bicubic": ("f", 8, lambda _, factor: Bicubic(factor)),
    **dict.fromkeys(IMAGE_FORMATS, ("q", 50, ImageCodec)),
    **dict.fromkeys(VIDEO_FORMATS, ("crf", 28, VideoCodec)),
}
# Reconstructors from outside the package; constructors may also take `device` and `dtype`.
REGISTERED_RECONSTRUCTORS: dict[str, type[Reconstructor]] = {}
RECONSTRUCTOR_DERIVED = frozenset({"device", "dtype"})

KINDS = ("identity", "continuous", "folder", "diffusers", *NUMBERED)
CODECS = (*IMAGE_FORMATS, *VIDEO_FORMATS)


def open_all(
    tokenizers: Scorable | Sequence[Scorable], device: str, dtype: torch.dtype
) -> tuple[Reconstructor, ...]:
    """Open one or several tokenizers, given by name or as Python objects, under unique names.

    Args:
        tokenizers: names as for `open_reconstructors`, folders, tokenizers, reconstructors, or
            functions from pixels (B, 3, T, H, W) in [-1, 1] to pixels.
        device: device that tokenizers given by name run on.
        dtype: dtype of their weights.

    Raises:
        ValueError: an invalid name or option, or weights that do not fit.
        FileNotFoundError: there is no such tokenizer or folder.
        TypeError: an object that is not one of these kinds of tokenizers.
    """
    several = isinstance(tokenizers, Iterable) and not isinstance(tokenizers, str | nn.Module)
    items: Any = tokenizers if several else [tokenizers]
    return with_unique_names([one for item in items for one in _open(item, device, dtype)])


def _open(item: Scorable, device: str, dtype: torch.dtype) -> tuple[Reconstructor, ...]:
    if isinstance(item, Reconstructor):
        return (item,)
    if isinstance(item, VisualTokenizer):
        return (TokenizerReconstructor(str(item.config.get("_name_or_path") or "tokenizer"), item),)
    if isinstance(item, str | Path):
        return open_reconstructors(str(item), device, dtype)
    if not callable(item):
        raise TypeError(
            "a tokenizer is a name, a folder, a VisualTokenizer, or a function of pixels, "
            f"got {item!r}"
        )
    return (Function(getattr(item, "__name__", "function"), item),)


def open_reconstructors(
    spec: str, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[Reconstructor, ...]:
    """Open the reconstructors that an argument names; a sweep opens several.

    Args:
        spec: argument as described in the module.
        device: device that networks run on.
        dtype: dtype of their weights.

    Raises:
        ValueError: an invalid option, or weights that do not fit.
        FileNotFoundError: there is no such tokenizer or folder.
    """
    kind, colon, options = spec.partition(":")
    if spec == "identity":
        return (Identity(),)
    if kind in REGISTERED_RECONSTRUCTORS:
        return (_registered(spec, device, dtype),)
    if kind in NUMBERED:
        constructor = NUMBERED[kind][2]
        return tuple(constructor(kind, number) for number in _numbers(spec))
    if kind == "folder" and colon:
        return (Folder(options),)
    if kind == "continuous" and colon:
        return (_tokenizer(spec, options, device=device, dtype=dtype, path="continuous"),)
    known = (*KINDS, *REGISTERED_RECONSTRUCTORS)
    if colon and kind != "diffusers" and not Path(spec).exists() and "/" not in kind:
        raise ValueError(
            f"a tokenizer is a folder, a hub id, or one of {', '.join(known)}, got {spec!r}"
            f"{did_you_mean(kind, known) or REGISTER_FIRST}"
        )
    return (_tokenizer(spec, spec, device=device, dtype=dtype),)


def _numbers(spec: str) -> list[int]:
    """Parse the numbers of `jpeg:q=10,30,50`.

    Raises:
        ValueError: the argument is malformed, or names a number twice.
    """
    kind, _, options = spec.partition(":")
    name, example, _ = NUMBERED[kind]
    given, _, values = options.partition("=")
    numbers = values.split(",")
    if given != name or not all(number.isdecimal() for number in numbers):
        raise ValueError(
            f"{kind} is written {kind}:{name}={example}, or with several whole numbers as "
            f"{kind}:{name}={example},{example + 4}, got {spec!r}"
        )
    repeated = sorted({number for number in numbers if numbers.count(number) > 1})
    if repeated:
        raise ValueError(f"{spec!r} names {name}={repeated[0]} twice; remove one")
    return [int(number) for number in numbers]


def _registered(spec: str, device: str, dtype: torch.dtype) -> Reconstructor:
    """Open a reconstructor from outside the package; its name in reports is the argument itself.

    Raises:
        ValueError: options that are malformed, or that its constructor does not take.
    """
    kind, _, text = spec.partition(":")
    options: dict[str, Any] = {"kind": kind}
    for option in re.split(r",(?=\w+=)", text) if text else ():
        name, equals, value = option.partition("=")
        if not equals or name in options:
            raise ValueError(f"{kind} is written {kind}:option=value,option=value, got {spec!r}")
        options[name] = read_value(value, f"{spec}: {name}")
    parameters = inspect.signature(REGISTERED_RECONSTRUCTORS[kind]).parameters
    given = {"device": device, "dtype": dtype}
    derived = {name: value for name, value in given.items() if name in parameters}
    reconstructor: Reconstructor = build(REGISTERED_RECONSTRUCTORS, options, spec, **derived)
    reconstructor.name = spec
    return reconstructor


def _tokenizer(
    name: str, saved: str, *, device: str, dtype: torch.dtype, path: PathName | None = None
) -> TokenizerReconstructor:
    """Load a saved tokenizer, whose name in reports may differ from its folder or hub id."""
    try:
        tokenizer: Any = load_tokenizer(saved, dtype)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}{did_you_mean(saved, KINDS)}") from error
    if path is not None and path not in tokenizer.paths:
        raise ValueError(f"{name}: this tokenizer has no {path} path, only {tokenizer.paths[0]}")
    return TokenizerReconstructor(name, tokenizer.to(device), path=path)
