"""Opening a tokenizer or a config just to describe it: no weights are made or read."""

from pathlib import Path
from typing import Any

import torch

from ..config import load_config, shipped_names
from ..tokenizers.layout import Size
from ..tokenizers.pretrained import check_config
from ..tokenizers.tokenizer import VisualTokenizer
from .config.files import load_run_config

DEFAULT_SIDE = 256


def open_description(name: str) -> tuple[VisualTokenizer, Size]:
    """A tokenizer on the meta device, and the size its config trains on (or a usual one).

    Args:
        name: folder or hub id of a saved tokenizer, path of a YAML file, or name of a shipped
            config.

    Raises:
        FileNotFoundError: nothing goes by that name.
        ValueError: the config is wrong.
    """
    is_config = name in shipped_names() or Path(name).suffix in (".yaml", ".yml")
    with torch.device("meta"):
        if is_config:
            source = (load_config(name).get("data") or {}).get("source")
            config = load_run_config(name, [] if source else ["data.source=unused"])
            size = (config.data.frames, config.data.size, config.data.size)
            return config.build_tokenizer(), size
        check_config(VisualTokenizer, name)
        options: Any = VisualTokenizer.load_config(name)
        tokenizer: Any = VisualTokenizer.from_config(options)
    space = tokenizer.spatial_compression
    side = -(-DEFAULT_SIDE // space) * space
    return tokenizer, (1, side, side)
