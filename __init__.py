"""vistok: train, run and score discrete and continuous visual tokenizers for images and video.

Everything named here is loaded on first use, so that `import vistok` costs nothing and loads no
torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .eval.harness import evaluate as evaluate
    from .models.stage import Stage as Stage
    from .tokenizers.encoding import Encoding as Encoding
    from .tokenizers.encoding import Output as Output
    from .tokenizers.fsq import FSQ as FSQ
    from .tokenizers.kl import KL as KL
    from .tokenizers.layout import Layout as Layout
    from .tokenizers.plain import Plain as Plain
    from .tokenizers.quantizer import Quantized as Quantized
    from .tokenizers.quantizer import Quantizer as Quantizer
    from .tokenizers.tokenizer import VisualTokenizer as VisualTokenizer

_HOMES = {
    "FSQ": "tokenizers.fsq",
    "KL": "tokenizers.kl",
    "Encoding": "tokenizers.encoding",
    "Layout": "tokenizers.layout",
    "Output": "tokenizers.encoding",
    "Plain": "tokenizers.plain",
    "Quantized": "tokenizers.quantizer",
    "Quantizer": "tokenizers.quantizer",
    "Stage": "models.stage",
    "VisualTokenizer": "tokenizers.tokenizer",
    "evaluate": "eval.harness",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vistok' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(["__version__", *_HOMES])
