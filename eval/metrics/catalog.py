"""Makers of all metrics by name, and opening those that an evaluation can compute."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..features.extractor import Extractor
from ..features.extractor_weights import MissingWeights
from ..features.i3d import I3D
from ..features.inception import Inception
from ..protocols.not_applicable import NotApplicableError
from ..protocols.protocol import Protocol
from .frechet import RFID, RFVD
from .inception_score import InceptionScore
from .kid import KID
from .lpips_metric import LPIPS
from .metric import SampleMetric, SetMetric
from .ms_ssim import MultiScaleSSIM
from .names import CODEBOOK_METRICS, REGISTERED_METRICS, check_metrics
from .psnr import PSNR
from .ssim import SSIM

NO_CODEBOOK = "has no codebook"


@dataclass(frozen=True, kw_only=True)
class MetricContext:
    """Settings that metrics are opened with.

    Attributes:
        protocol: rules of the evaluation.
        size: side of the images, in pixels.
        frames: frames per clip.
        device: device that networks run on.
        seed: random seed of subsets.
        force: whether to compute metrics of too few samples.
    """

    protocol: Protocol
    size: int
    frames: int
    device: str
    seed: int
    force: bool


SAMPLE_METRICS: dict[str, Callable[[MetricContext], SampleMetric]] = {
    "psnr": lambda context: PSNR(context.protocol),
    "ssim": lambda context: SSIM(context.protocol, context.size),
    "ms_ssim": lambda context: MultiScaleSSIM(context.protocol, context.size),
    "lpips_alex": lambda context: LPIPS(context.protocol, "alex", context.device),
    "lpips_vgg": lambda context: LPIPS(context.protocol, "vgg", context.device),
}

EXTRACTORS: dict[str, Callable[[MetricContext], Extractor]] = {
    "inception": lambda context: Inception.of_protocol(context.protocol, context.device),
    "i3d": lambda context: I3D(context.protocol.video_values, context.frames, context.device),
}

# The name of each metric's extractor, and a function from the opened extractor to the metric.
SET_METRICS: dict[str, tuple[str, Callable[[Any, MetricContext], SetMetric]]] = {
    "rfid": ("inception", lambda network, context: RFID(network)),
    "kid": ("inception", lambda network, context: KID(network, context.seed)),
    "inception_score": (
        "inception",
        lambda network, context: InceptionScore(network, context.seed),
    ),
    "rfvd": ("i3d", lambda network, context: RFVD(network, context.force)),
}


@dataclass(frozen=True)
class Metrics:
    """The opened metrics of one evaluation.

    Attributes:
        per_sample: metrics with a value per sample.
        per_set: metrics of whole sets.
        codebook: names of metrics computed from counts of indices.
        unavailable: metrics that cannot be computed, each with the reason.
    """

    per_sample: tuple[SampleMetric, ...]
    per_set: tuple[SetMetric, ...]
    codebook: tuple[str, ...]
    unavailable: Mapping[str, str]

    @property
    def weights(self) -> dict[str, str]:
        """SHA-256 of every network's weights, by name of the extractor or metric."""
        hashes = {extractor.name: extractor.sha256 for extractor in self.extractors}
        return hashes | {m.name: m.sha256 for m in self.per_sample if m.sha256 is not None}

    @property
    def extractors(self) -> tuple[Extractor, ...]:
        """Extractors of the set metrics, each once."""
        return tuple({metric.extractor.name: metric.extractor for metric in self.per_set}.values())


def open_metrics(names: Sequence[str], context: MetricContext) -> Metrics:
    """Open metrics by name; those that cannot be computed are listed with the reason."""
    check_metrics(names)
    extractors: dict[str, Extractor] = {}
    per_sample: list[SampleMetric] = []
    per_set: list[SetMetric] = []
    unavailable: dict[str, str] = {}
    for name in dict.fromkeys(names):
        try:
            if name in SAMPLE_METRICS:
                per_sample.append(SAMPLE_METRICS[name](context))
            elif name in SET_METRICS:
                extractor, make_metric = SET_METRICS[name]
                if extractor not in extractors:
                    extractors[extractor] = EXTRACTORS[extractor](context)
                per_set.append(make_metric(extractors[extractor], context))
            elif name in REGISTERED_METRICS:
                metric = _make_registered(REGISTERED_METRICS[name], context)
                if isinstance(metric, SampleMetric):
                    per_sample.append(metric)
                else:
                    per_set.append(metric)
        except (MissingWeights, NotApplicableError) as reason:
            unavailable[name] = str(reason)
    codebook = tuple(name for name in CODEBOOK_METRICS if name in names)
    return Metrics(
        per_sample=tuple(per_sample),
        per_set=tuple(per_set),
        codebook=codebook,
        unavailable=unavailable,
    )


def _make_registered(
    metric: Callable[..., SampleMetric | SetMetric], context: MetricContext
) -> SampleMetric | SetMetric:
    """Make a metric from outside the package with those settings that its constructor takes."""
    taken = inspect.signature(metric).parameters.keys() & vars(context).keys()
    return metric(**{name: getattr(context, name) for name in taken})
