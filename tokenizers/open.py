"""Opening tokenizers by name: folders, hub ids, and `diffusers:<Class>:<path or hub id>`."""

from pathlib import Path
from typing import Any

import torch

from .diffusers_source import is_diffusers, load_model, parse_source, read_options
from .diffusers_weights import configs_of_class
from .pretrained import check_config, without_weights
from .tokenizer import VisualTokenizer


def load_tokenizer(name: str | Path, dtype: torch.dtype = torch.float32) -> VisualTokenizer:
    """Load a tokenizer in eval mode on the CPU.

    Args:
        name: folder or hub id of a saved tokenizer, or `diffusers:<Class>:<path or hub id>`.
        dtype: dtype of its weights.

    Raises:
        FileNotFoundError: no tokenizer has that name.
        ValueError: a damaged file, weights that do not fit, or a class that cannot be a tokenizer.
    """
    if is_diffusers(name):
        return VisualTokenizer.from_diffusers(load_model(parse_source(str(name)), dtype))
    tokenizer: Any = VisualTokenizer.from_pretrained(str(name), torch_dtype=dtype)
    return tokenizer.eval()


def open_tokenizer(tokenizer: VisualTokenizer | str | Path) -> VisualTokenizer:
    """Return a tokenizer as it is, or load one by name in float32; see `load_tokenizer`."""
    return tokenizer if isinstance(tokenizer, VisualTokenizer) else load_tokenizer(tokenizer)


def open_without_weights(name: str | Path) -> VisualTokenizer:
    """Build a tokenizer on the meta device, where weights are neither made nor read.

    Args:
        name: as in `load_tokenizer`.

    Raises:
        FileNotFoundError: no tokenizer has that name.
        ValueError: its config describes no tokenizer.
    """
    if not is_diffusers(name):
        return without_weights(VisualTokenizer, check_config(VisualTokenizer, name), name)
    source = parse_source(str(name))
    with torch.device("meta"):
        return VisualTokenizer(**configs_of_class(source.wrapped, read_options(source)))
