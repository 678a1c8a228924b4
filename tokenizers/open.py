"""Opening the tokenizer of a job that is given one, or the name of a saved one."""

from pathlib import Path
from typing import Any

from .tokenizer import VisualTokenizer


def open_tokenizer(tokenizer: VisualTokenizer | str | Path) -> VisualTokenizer:
    """Return a tokenizer as it is, or load a saved one in float32 on the CPU.

    Args:
        tokenizer: the tokenizer, its folder, or its hub id.

    Raises:
        FileNotFoundError: no tokenizer is saved there.
    """
    if isinstance(tokenizer, VisualTokenizer):
        return tokenizer
    loaded: Any = VisualTokenizer.from_pretrained(str(tokenizer))
    return loaded.eval()
