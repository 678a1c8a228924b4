"""vistok: train, run and score discrete and continuous visual tokenizers for images and video.

Everything named here is loaded on first use, so that `import vistok` costs nothing and loads no
torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import metrics as metrics
    from .data.load_pixels import load_image as load_image
    from .data.load_pixels import load_video as load_video
    from .data.save_pixels import save_image as save_image
    from .data.save_pixels import save_video as save_video
    from .encode.decode import decode_shards as decode_shards
    from .encode.job import encode_source as encode_source
    from .eval.evaluate import evaluate as evaluate
    from .eval.harness.row import Row as Row
    from .eval.harness.rows import Rows as Rows
    from .eval.metrics.metric import SampleMetric as SampleMetric
    from .eval.metrics.metric import SetMetric as SetMetric
    from .eval.reconstructors.reconstruct import reconstruct_file as reconstruct_file
    from .eval.reconstructors.reconstructor import Reconstruction as Reconstruction
    from .eval.reconstructors.reconstructor import Reconstructor as Reconstructor
    from .models.blocks.conditions import Conditions as Conditions
    from .models.blocks.stage import Stage as Stage
    from .models.discriminators.discriminator import Discriminator as Discriminator
    from .models.network import Decoder as Decoder
    from .models.network import Encoder as Encoder
    from .registry import register as register
    from .tokenizers.bottlenecks.bottleneck import Bottleneck as Bottleneck
    from .tokenizers.bottlenecks.bottleneck import Continuous as Continuous
    from .tokenizers.bottlenecks.bottleneck import Quantized as Quantized
    from .tokenizers.bottlenecks.bottleneck import Quantizer as Quantizer
    from .tokenizers.bottlenecks.bsq import BSQ as BSQ
    from .tokenizers.bottlenecks.dual_path import DualPath as DualPath
    from .tokenizers.bottlenecks.fixed_sigma import FixedSigma as FixedSigma
    from .tokenizers.bottlenecks.fsq import FSQ as FSQ
    from .tokenizers.bottlenecks.gq import GQ as GQ
    from .tokenizers.bottlenecks.ibq import IBQ as IBQ
    from .tokenizers.bottlenecks.kl import KL as KL
    from .tokenizers.bottlenecks.lfq import LFQ as LFQ
    from .tokenizers.bottlenecks.multi_token import MultiToken as MultiToken
    from .tokenizers.bottlenecks.plain import Plain as Plain
    from .tokenizers.bottlenecks.posterior import Gaussian as Gaussian
    from .tokenizers.bottlenecks.residual import Residual as Residual
    from .tokenizers.bottlenecks.simvq import SimVQ as SimVQ
    from .tokenizers.bottlenecks.vq import VQ as VQ
    from .tokenizers.code_statistics import CodeStatistics as CodeStatistics
    from .tokenizers.encoding import Encoding as Encoding
    from .tokenizers.encoding import Output as Output
    from .tokenizers.layout import Layout as Layout
    from .tokenizers.tokenizer import VisualTokenizer as VisualTokenizer
    from .train.job import train_tokenizer as train_tokenizer
    from .train.losses.reconstruction import ReconstructionLoss as ReconstructionLoss

_HOMES = {
    "BSQ": "tokenizers.bottlenecks.bsq",
    "Bottleneck": "tokenizers.bottlenecks.bottleneck",
    "CodeStatistics": "tokenizers.code_statistics",
    "Conditions": "models.blocks.conditions",
    "Continuous": "tokenizers.bottlenecks.bottleneck",
    "Decoder": "models.network",
    "Discriminator": "models.discriminators.discriminator",
    "DualPath": "tokenizers.bottlenecks.dual_path",
    "Encoder": "models.network",
    "Encoding": "tokenizers.encoding",
    "FSQ": "tokenizers.bottlenecks.fsq",
    "FixedSigma": "tokenizers.bottlenecks.fixed_sigma",
    "GQ": "tokenizers.bottlenecks.gq",
    "Gaussian": "tokenizers.bottlenecks.posterior",
    "IBQ": "tokenizers.bottlenecks.ibq",
    "KL": "tokenizers.bottlenecks.kl",
    "LFQ": "tokenizers.bottlenecks.lfq",
    "Layout": "tokenizers.layout",
    "MultiToken": "tokenizers.bottlenecks.multi_token",
    "Output": "tokenizers.encoding",
    "Plain": "tokenizers.bottlenecks.plain",
    "Quantized": "tokenizers.bottlenecks.bottleneck",
    "Quantizer": "tokenizers.bottlenecks.bottleneck",
    "Reconstruction": "eval.reconstructors.reconstructor",
    "ReconstructionLoss": "train.losses.reconstruction",
    "Reconstructor": "eval.reconstructors.reconstructor",
    "Residual": "tokenizers.bottlenecks.residual",
    "Row": "eval.harness.row",
    "Rows": "eval.harness.rows",
    "SampleMetric": "eval.metrics.metric",
    "SetMetric": "eval.metrics.metric",
    "SimVQ": "tokenizers.bottlenecks.simvq",
    "Stage": "models.blocks.stage",
    "VQ": "tokenizers.bottlenecks.vq",
    "VisualTokenizer": "tokenizers.tokenizer",
    "decode_shards": "encode.decode",
    "encode_source": "encode.job",
    "evaluate": "eval.evaluate",
    "load_image": "data.load_pixels",
    "load_video": "data.load_pixels",
    "reconstruct_file": "eval.reconstructors.reconstruct",
    "register": "registry",
    "save_image": "data.save_pixels",
    "save_video": "data.save_pixels",
    "train_tokenizer": "train.job",
}


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return import_module(".metrics", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module 'vistok' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(["__version__", "metrics", *_HOMES])
