"""Names of all metrics. Loads none of them, so that a config can be checked at once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...option_errors import REGISTER_FIRST, did_you_mean

if TYPE_CHECKING:
    from .metric import SampleMetric, SetMetric

# Means over groups, over the whole evaluation; `tokenizers/code_statistics.py` counts the codes.
CODEBOOK_METRICS = ("codebook_usage", "codebook_perplexity", "codebook_entropy")

METRICS = (
    "psnr",
    "ssim",
    "ms_ssim",
    "lpips_alex",
    "lpips_vgg",
    "rfid",
    "kid",
    "inception_score",
    "rfvd",
    *CODEBOOK_METRICS,
)

# Metrics from outside the package, which are computed where they are asked for by name. Their
# constructors take settings of `MetricContext` by name.
REGISTERED_METRICS: "dict[str, type[SampleMetric] | type[SetMetric]]" = {}

# Metrics that need no weights and little time, for monitoring a training run.
QUICK_METRICS = ("psnr", "ssim", *CODEBOOK_METRICS)


def default_metrics(frames: int) -> tuple[str, ...]:
    """Return the names of the default metrics of images, or of clips with this many frames."""
    optional = {"kid", "inception_score", "rfvd" if frames == 1 else "rfid"}
    return tuple(name for name in METRICS if name not in optional)


def check_metrics(names: Sequence[str], setting: str = "metrics") -> None:
    """Raise unless every name is the name of a metric.

    Args:
        names: names to check.
        setting: name of the setting in the error message.

    Raises:
        ValueError: a name that is neither in `METRICS` nor registered.
    """
    known = (*METRICS, *REGISTERED_METRICS)
    for name in names:
        if name not in known:
            raise ValueError(
                f"{setting} must be among {', '.join(known)}, got {name!r}"
                f"{did_you_mean(name, known) or REGISTER_FIRST}"
            )
