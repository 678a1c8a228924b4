"""Every metric by name, and which of them can be computed here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...component import did_you_mean
from ..features.extractor import Extractor
from ..features.extractor_weights import MissingWeights
from ..features.i3d import I3D
from ..features.inception import Inception
from ..protocol import Protocol
from .frechet import RFID, RFVD
from .inception_score import InceptionScore
from .kid import KID
from .lpips_metric import LPIPS
from .metric import NotApplicableError, SampleMetric, SetMetric
from .ms_ssim import MultiScaleSSIM
from .psnr import PSNR
from .ssim import SSIM

# Means over groups, over the whole evaluation; the counting is `tokenizers/code_statistics.py`.
CODEBOOK_METRICS = ("codebook_usage", "codebook_perplexity", "codebook_entropy")
NO_CODEBOOK = "has no codebook"


@dataclass(frozen=True)
class MetricContext:
    """What a metric is opened for.

    Attributes:
        protocol: the rules.
        size: side of the images, in pixels.
        frames: frames per clip.
        device: where its network runs.
        seed: of random subsets.
        force: whether it computes numbers of too few samples.
    """

    protocol: Protocol
    size: int
    frames: int
    device: str
    seed: int
    force: bool


SAMPLE_METRICS: dict[str, Callable[[MetricContext], SampleMetric]] = {
    "psnr": lambda on: PSNR(on.protocol),
    "ssim": lambda on: SSIM(on.protocol, on.size),
    "ms_ssim": lambda on: MultiScaleSSIM(on.protocol, on.size),
    "lpips_alex": lambda on: LPIPS(on.protocol, "alex", on.device),
    "lpips_vgg": lambda on: LPIPS(on.protocol, "vgg", on.device),
}

EXTRACTORS: dict[str, Callable[[MetricContext], Extractor]] = {
    "inception": lambda on: Inception(
        on.protocol.inception_resize, on.protocol.inception_values, on.device
    ),
    "i3d": lambda on: I3D(on.protocol.video_values, on.frames, on.device),
}

# The network that each reads, and what makes the metric of it.
SET_METRICS: dict[str, tuple[str, Callable[[Any, MetricContext], SetMetric]]] = {
    "rfid": ("inception", lambda network, on: RFID(network)),
    "kid": ("inception", lambda network, on: KID(network, on.seed)),
    "inception_score": ("inception", lambda network, on: InceptionScore(network, on.seed)),
    "rfvd": ("i3d", lambda network, on: RFVD(network, on.force)),
}

METRICS = (*SAMPLE_METRICS, *SET_METRICS, *CODEBOOK_METRICS)

# Those that need no weights and little time: what a training run watches.
QUICK_METRICS = ("psnr", "ssim", *CODEBOOK_METRICS)


@dataclass(frozen=True)
class Metrics:
    """The metrics of one evaluation, opened.

    Attributes:
        per_sample: those with a value per sample.
        per_set: those of whole sets.
        codebook: names of those that come from counting indices.
        unavailable: those that cannot be computed, each with the reason.
    """

    per_sample: tuple[SampleMetric, ...]
    per_set: tuple[SetMetric, ...]
    codebook: tuple[str, ...]
    unavailable: Mapping[str, str]

    @property
    def weights(self) -> dict[str, str]:
        """SHA-256 of every network's weights, by extractor or metric."""
        found = {extractor.name: extractor.sha256 for extractor in self.extractors}
        return found | {m.name: m.sha256 for m in self.per_sample if m.sha256 is not None}

    @property
    def extractors(self) -> tuple[Extractor, ...]:
        """The networks of the set metrics, each once."""
        return tuple({metric.extractor.name: metric.extractor for metric in self.per_set}.values())


def default_metrics(frames: int) -> tuple[str, ...]:
    """What is computed where the user does not say."""
    options = {"kid", "inception_score", "rfvd" if frames == 1 else "rfid"}
    return tuple(name for name in METRICS if name not in options)


def check_metrics(names: Sequence[str], setting: str = "metrics") -> None:
    """Raise at the first name that is no metric."""
    for name in names:
        if name not in METRICS:
            raise ValueError(
                f"{setting} must be among {', '.join(METRICS)}, got {name!r}"
                f"{did_you_mean(name, METRICS)}"
            )


def open_metrics(names: Sequence[str], on: MetricContext) -> Metrics:
    """Open metrics by name; what cannot be computed here is listed with the reason."""
    check_metrics(names)
    networks: dict[str, Extractor] = {}
    per_sample: list[SampleMetric] = []
    per_set: list[SetMetric] = []
    unavailable: dict[str, str] = {}
    for name in dict.fromkeys(names):
        try:
            if name in SAMPLE_METRICS:
                per_sample.append(SAMPLE_METRICS[name](on))
            elif name in SET_METRICS:
                network, make = SET_METRICS[name]
                if network not in networks:
                    networks[network] = EXTRACTORS[network](on)
                per_set.append(make(networks[network], on))
        except (MissingWeights, NotApplicableError) as reason:
            unavailable[name] = str(reason)
    codebook = tuple(name for name in CODEBOOK_METRICS if name in names)
    return Metrics(tuple(per_sample), tuple(per_set), codebook, unavailable)
