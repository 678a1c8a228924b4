"""The `eval` section of a run config: scores on held-out data during the run."""

from pydantic import Field, model_validator

from ...config import ConfigSection, Count, PositiveInt
from ...eval.metrics.names import check_metrics


class Eval(ConfigSection):
    """Held-out data, scored during the run and drawn in the sample grids."""

    source: str | None = None
    """Held-out data, as `data.source`. Null computes no scores, and sample grids show training
    samples."""
    size: PositiveInt | None = None
    """Side of the center crops, in pixels; null uses data.size."""
    every_steps: Count = 1000
    """Number of optimizer steps between two evaluations, and one after the last step; 0 switches
    them off."""
    batch_size: PositiveInt = 8
    """Number of samples per device in one evaluation batch."""
    limit: PositiveInt | None = 64
    """Maximum number of held-out files; null uses all."""
    metrics: list[str] = Field(default=["psnr", "ssim"])
    """Metrics to compute, in addition to codebook use; see `vistok eval`."""
    best_metric: str = "psnr"
    """Metric that decides which evaluation is the best so far; its tokenizer is kept in best/."""

    @model_validator(mode="after")
    def _metrics_exist(self) -> "Eval":
        check_metrics(self.metrics)
        if self.best_metric not in self.metrics:
            raise ValueError(
                f"best_metric must be among metrics, {', '.join(self.metrics)}, "
                f"got {self.best_metric}"
            )
        return self
