"""EMA: exponential moving average of the weights, which is what is scored and saved.

    shadow <- shadow + (1 - d) (weight - shadow),    d = min(decay, (1 + n) / (10 + n)) at update n

The warm-up lets the average follow the fast first steps (arXiv 1806.04498); without it d = decay.
"""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

Model = TypeVar("Model", bound=nn.Module)


class EMA(Generic[Model]):
    """Shadow copy of a model with averaged parameters; buffers are copied.

    Of a sharded model every rank averages its slices; the shadow stays whole, and `gather` brings
    it up to date.

    Args:
        model: the trained model, outside of any distributed wrapper, before it is sharded.
        decay: weight of the average at every update, in [0, 1).
        warmup: whether the first updates use a smaller decay.

    Attributes:
        shadow: the averaged model, in eval mode; see `gather`.
        num_updates: updates so far.
    """

    def __init__(self, model: Model, decay: float, warmup: bool = True) -> None:
        self.decay, self.warmup = decay, warmup
        self.num_updates = 0
        self.shadow: Model = copy.deepcopy(model).eval().requires_grad_(False)
        self._slices: list[Tensor] | None = None

    def shard_like(self, model: nn.Module) -> None:
        """Average slices from now on, because the model has been sharded."""
        self._slices = [
            _slice_like(ours, theirs)
            for ours, theirs in zip(self.shadow.parameters(), model.parameters(), strict=True)
        ]

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update the average with the model's weights."""
        self.num_updates += 1
        warmup_decay = (1 + self.num_updates) / (10 + self.num_updates)
        decay = min(self.decay, warmup_decay) if self.warmup else self.decay
        if self._slices is None:
            average = get_ema_multi_avg_fn(decay)
            average(list(self.shadow.parameters()), list(model.parameters()), None)
        else:
            for ours, theirs in zip(self._slices, model.parameters(), strict=True):
                ours.lerp_(theirs, 1 - decay)
        for ours, theirs in zip(self.shadow.buffers(), model.buffers(), strict=True):
            ours.copy_(theirs)

    @torch.no_grad()
    def gather(self) -> Model:
        """Return the shadow, up to date; all ranks must call this."""
        if self._slices is not None:
            for whole, part in zip(self.shadow.parameters(), self._slices, strict=True):
                whole.copy_(part.full_tensor() if isinstance(part, DTensor) else part)
        return self.shadow

    def load_state_dict(self, state: dict[str, Tensor], num_updates: int) -> None:
        """Restore the shadow's weights and the number of updates."""
        self.shadow.load_state_dict(state)
        self.num_updates = num_updates
        if self._slices is not None:
            self._slices = [
                _slice_like(whole, part)
                for whole, part in zip(self.shadow.parameters(), self._slices, strict=True)
            ]


def _slice_like(whole: Tensor, part: Tensor) -> Tensor:
    """Return a copy of this rank's slice of a tensor, sharded like another one."""
    whole = whole.detach().clone()
    if not isinstance(part, DTensor):
        return whole
    return distribute_tensor(whole, part.device_mesh, part.placements)
