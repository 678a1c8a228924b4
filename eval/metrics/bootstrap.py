"""Bootstrap confidence intervals of a mean (Efron 1979).

The interval's ends are percentiles of the means of resampled sets, each drawn with replacement and
as large as the original set.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

RESAMPLES = 1000
LEVEL = 0.95
_CHUNK_VALUES = 2**22


def bootstrap_interval(values: Float64[Tensor, "N"], seed: int = 0) -> tuple[float, float] | None:
    """Compute the 95 % interval of the mean; None for a single value or an infinite mean.

    Args:
        values: one value per sample, in any order.
        seed: random seed of the resampling.
    """
    count = len(values)
    if count < 2 or values.isinf().any():
        return None
    generator = torch.Generator().manual_seed(seed)
    ordered = values.sort().values  # the interval does not depend on the order
    means: list[Tensor] = []
    step = max(1, _CHUNK_VALUES // count)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        means.append(ordered[torch.randint(count, (rows, count), generator=generator)].mean(dim=1))
    tail = (1 - LEVEL) / 2
    ends = torch.cat(means).quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64))
    low, high = ends.tolist()
    return low, high
