"""From the words of a user to subjects.

    DIR or hub id                    a saved VisualTokenizer
    continuous:<DIR or hub id>       its continuous path, where it has two
    diffusers:<Class>:<path or id>   any autoencoder of diffusers
    folder:DIR                       somebody else's reconstructions
    jpeg:q=50  webp:q=50  avif:q=50  Pillow
    h264:crf=28  hevc:crf=28  av1:crf=35  FFmpeg
    bicubic:f=8                      shrink and enlarge again
    identity                         the images themselves

A list of numbers sweeps: `jpeg:q=10,30,50` is three subjects, each a row and a point of a curve.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ...component import did_you_mean
from ...tokenizers.bottlenecks.dual_path import PathName
from ...tokenizers.tokenizer import VisualTokenizer
from .bicubic import Bicubic
from .folder import Folder
from .identity import Identity
from .image_codec import IMAGE_FORMATS, ImageCodec
from .reconstructor import Reconstructor
from .saved_tokenizer import TokenizerReconstructor
from .video_codec import VIDEO_FORMATS, VideoCodec

# Subjects with one number: how it is called, an example, and what makes the subject.
NUMBERED: dict[str, tuple[str, int, Callable[[str, int], Reconstructor]]] = {
    "bicubic": ("f", 8, lambda _, factor: Bicubic(factor)),
    **dict.fromkeys(IMAGE_FORMATS, ("q", 50, ImageCodec)),
    **dict.fromkeys(VIDEO_FORMATS, ("crf", 28, VideoCodec)),
}
KINDS = ("identity", "continuous", "folder", "diffusers", *NUMBERED)
CODECS = (*IMAGE_FORMATS, *VIDEO_FORMATS)


def open_reconstructors(
    spec: str, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[Reconstructor, ...]:
    """Open what a user names on the command line; a sweep opens several.

    Args:
        spec: see the module.
        device: where networks run.
        dtype: of their weights.

    Raises:
        ValueError: an option of a baseline is wrong.
        FileNotFoundError: no such tokenizer or folder.
    """
    kind, colon, options = spec.partition(":")
    if spec == "identity":
        return (Identity(),)
    if kind in NUMBERED:
        make = NUMBERED[kind][2]
        return tuple(make(kind, number) for number in _numbers(spec))
    if kind == "folder" and colon:
        return (Folder(options),)
    if kind == "diffusers":
        # Here, because it loads all of diffusers' autoencoders: seconds that nobody else needs.
        from .diffusers_autoencoder import open_diffusers

        return (open_diffusers(spec, device, dtype),)
    if kind == "continuous" and colon:
        return (_tokenizer(spec, options, device, dtype, "continuous"),)
    if colon and not Path(spec).exists() and "/" not in kind:
        raise ValueError(
            f"a subject is a folder, a hub id, or one of {', '.join(KINDS)}, got {spec!r}"
            f"{did_you_mean(kind, KINDS)}"
        )
    return (_tokenizer(spec, spec, device, dtype),)


def open_reconstructor(
    spec: str, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> Reconstructor:
    """Open a single subject; see `open_reconstructors`.

    Raises:
        ValueError: the words name a sweep.
    """
    first, *others = open_reconstructors(spec, device, dtype)
    if others:
        raise ValueError(f"one subject is wanted here, but {spec!r} names {1 + len(others)}")
    return first


def _numbers(spec: str) -> list[int]:
    """The numbers of `jpeg:q=10,30,50`."""
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
        raise ValueError(f"{spec!r} names {name}={repeated[0]} twice; leave one out")
    return [int(number) for number in numbers]


def _tokenizer(
    name: str, saved: str, device: str, dtype: torch.dtype, path: PathName | None = None
) -> TokenizerReconstructor:
    try:
        tokenizer: Any = VisualTokenizer.from_pretrained(saved, torch_dtype=dtype)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}{did_you_mean(saved, KINDS)}") from error
    if path is not None and path not in tokenizer.paths:
        raise ValueError(f"{name}: this tokenizer has no {path} path, only {tokenizer.paths[0]}")
    return TokenizerReconstructor(name, tokenizer.to(device), path=path)
