"""Bootstrap intervals (Efron 1979): how far a mean could lie elsewhere with other samples.

Percentiles of the means of resampled sets, each drawn with replacement and as large as the set.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

RESAMPLES = 1000
LEVEL = 0.95
_CHUNK_VALUES = 2**22


def bootstrap_interval(values: Float64[Tensor, "N"], seed: int = 0) -> tuple[float, float] | None:
    """The 95 % interval of the mean, or None for a single value and where the mean is infinite.

    Args:
        values: one per sample; their order does not matter.
        seed: of the resampling.
    """
    count = len(values)
    if count < 2 or values.isinf().any():
        return None
    generator = torch.Generator().manual_seed(seed)
    ordered = values.sort().values  # the same interval whatever the order of the source
    means: list[Tensor] = []
    step = max(1, _CHUNK_VALUES // count)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        means.append(ordered[torch.randint(count, (rows, count), generator=generator)].mean(dim=1))
    tail = (1 - LEVEL) / 2
    ends = torch.cat(means).quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64))
    low, high = ends.tolist()
    return low, high
