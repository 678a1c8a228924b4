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
    from .tokenizers.bsq import BSQ as BSQ
    from .tokenizers.code_statistics import CodeStatistics as CodeStatistics
    from .tokenizers.dual_path import DualPath as DualPath
    from .tokenizers.encoding import Encoding as Encoding
    from .tokenizers.encoding import Output as Output
    from .tokenizers.fixed_sigma import FixedSigma as FixedSigma
    from .tokenizers.fsq import FSQ as FSQ
    from .tokenizers.gq import GQ as GQ
    from .tokenizers.ibq import IBQ as IBQ
    from .tokenizers.kl import KL as KL
    from .tokenizers.layout import Layout as Layout
    from .tokenizers.lfq import LFQ as LFQ
    from .tokenizers.multi_token import MultiToken as MultiToken
    from .tokenizers.plain import Plain as Plain
    from .tokenizers.quantizer import Quantized as Quantized
    from .tokenizers.quantizer import Quantizer as Quantizer
    from .tokenizers.residual import Residual as Residual
    from .tokenizers.simvq import SimVQ as SimVQ
    from .tokenizers.tokenizer import VisualTokenizer as VisualTokenizer
    from .tokenizers.vq import VQ as VQ

_HOMES = {
    "BSQ": "tokenizers.bsq",
    "CodeStatistics": "tokenizers.code_statistics",
    "DualPath": "tokenizers.dual_path",
    "Encoding": "tokenizers.encoding",
    "FSQ": "tokenizers.fsq",
    "FixedSigma": "tokenizers.fixed_sigma",
    "GQ": "tokenizers.gq",
    "IBQ": "tokenizers.ibq",
    "KL": "tokenizers.kl",
    "LFQ": "tokenizers.lfq",
    "Layout": "tokenizers.layout",
    "MultiToken": "tokenizers.multi_token",
    "Output": "tokenizers.encoding",
    "Plain": "tokenizers.plain",
    "Quantized": "tokenizers.quantizer",
    "Quantizer": "tokenizers.quantizer",
    "Residual": "tokenizers.residual",
    "SimVQ": "tokenizers.simvq",
    "Stage": "models.stage",
    "VQ": "tokenizers.vq",
    "VisualTokenizer": "tokenizers.tokenizer",
    "evaluate": "eval.harness",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vistok' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(["__version__", *_HOMES])
