"""Metrics of images, videos and codes, each usable alone, under the rules of a protocol.

    from vistok import metrics

    metrics.psnr(originals, reconstructions)    # of one batch
    psnr = metrics.PSNR()                       # over batches and ranks: a torchmetrics.Metric
    psnr.update(originals, reconstructions)
    psnr.compute()

Originals and reconstructions are clips (B, 3, T, H, W) or images (B, 3, H, W), floats in [-1, 1] or
uint8; the protocol (by default `vistok-eval-v1`) clamps and rounds them. Codebook metrics take
indices (*batch, groups). Results are float64. The evaluation harness, which also loads files and
scores tokenizers, computes its metrics with the same classes.

Everything is loaded on first use, so that importing this module loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .eval.metrics.codebook import CodebookEntropy as CodebookEntropy
    from .eval.metrics.codebook import CodebookPerplexity as CodebookPerplexity
    from .eval.metrics.codebook import CodebookUsage as CodebookUsage
    from .eval.metrics.codebook import codebook_entropy as codebook_entropy
    from .eval.metrics.codebook import codebook_perplexity as codebook_perplexity
    from .eval.metrics.codebook import codebook_usage as codebook_usage
    from .eval.metrics.frechet import RFID as RFID
    from .eval.metrics.frechet import RFVD as RFVD
    from .eval.metrics.frechet import rfid as rfid
    from .eval.metrics.frechet import rfvd as rfvd
    from .eval.metrics.inception_score import InceptionScore as InceptionScore
    from .eval.metrics.inception_score import inception_score as inception_score
    from .eval.metrics.kid import KID as KID
    from .eval.metrics.kid import kid as kid
    from .eval.metrics.lpips_metric import LPIPS as LPIPS
    from .eval.metrics.lpips_metric import lpips as lpips
    from .eval.metrics.metric import SampleMetric as SampleMetric
    from .eval.metrics.metric import SetMetric as SetMetric
    from .eval.metrics.ms_ssim import MultiScaleSSIM as MultiScaleSSIM
    from .eval.metrics.ms_ssim import ms_ssim as ms_ssim
    from .eval.metrics.psnr import PSNR as PSNR
    from .eval.metrics.psnr import psnr as psnr
    from .eval.metrics.ssim import SSIM as SSIM
    from .eval.metrics.ssim import ssim as ssim

_HOMES = {
    "CodebookEntropy": "codebook",
    "CodebookPerplexity": "codebook",
    "CodebookUsage": "codebook",
    "InceptionScore": "inception_score",
    "KID": "kid",
    "LPIPS": "lpips_metric",
    "MultiScaleSSIM": "ms_ssim",
    "PSNR": "psnr",
    "RFID": "frechet",
    "RFVD": "frechet",
    "SSIM": "ssim",
    "SampleMetric": "metric",
    "SetMetric": "metric",
    "codebook_entropy": "codebook",
    "codebook_perplexity": "codebook",
    "codebook_usage": "codebook",
    "inception_score": "inception_score",
    "kid": "kid",
    "lpips": "lpips_metric",
    "ms_ssim": "ms_ssim",
    "psnr": "psnr",
    "rfid": "frechet",
    "rfvd": "frechet",
    "ssim": "ssim",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vistok.metrics' has no attribute {name!r}")
    return getattr(import_module(f".eval.metrics.{_HOMES[name]}", __package__), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
