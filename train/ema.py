"""EMA: exponential moving average of the weights, the weights that are scored and saved.

    shadow <- shadow + (1 - d) (weight - shadow),    d = min(decay, (1 + n) / (10 + n)) at update n

The ramp lets the average follow the fast first steps (arXiv 1806.04498); without it d = decay.
"""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

Model = TypeVar("Model", bound=nn.Module)


class EMA(Generic[Model]):
    """A shadow of a model whose parameters trail behind; buffers are copied.

    Args:
        model: the trained model, outside of any distributed wrapper.
        decay: weight of the past at every update, in [0, 1).
        warmup: whether the first updates forget faster.
    """

    def __init__(self, model: Model, decay: float, warmup: bool = True) -> None:
        self.decay, self.warmup = decay, warmup
        self.num_updates = 0
        self.shadow: Model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the shadow towards the model's weights."""
        self.num_updates += 1
        ramp = (1 + self.num_updates) / (10 + self.num_updates)
        decay = min(self.decay, ramp) if self.warmup else self.decay
        average = get_ema_multi_avg_fn(decay)
        average(list(self.shadow.parameters()), list(model.parameters()), None)
        for ours, theirs in zip(self.shadow.buffers(), model.buffers(), strict=True):
            ours.copy_(theirs)
