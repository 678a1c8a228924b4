"""Cost of a network, without running it: multiply-adds and live memory on the meta device."""

import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """Cost of one inference call.

    Attributes:
        multiply_adds: multiply-adds of convolutions, matrix products and attention.
        peak_bytes: largest size of all activations alive at once, in the dtype of the input;
            weights and the workspace of libraries come on top.
    """

    multiply_adds: int
    peak_bytes: int


def measure_cost(network: Callable[[Tensor], Any], shape: tuple[int, ...]) -> Cost:
    """Measure one call of a network on the meta device.

    Args:
        network: network whose weights are on the meta device, too.
        shape: shape of its input.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as flops, _LiveBytes() as live:
        network(torch.empty(shape, device="meta"))
    return Cost(flops.get_total_flops() // 2, live.peak)


class _LiveBytes(TorchDispatchMode):
    """Count the bytes of all tensors from their creation until their storage is released."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._holders: Counter[int] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(results):
            if isinstance(tensor, Tensor):
                self._follow(tensor)
        self.peak = max(self.peak, self.now)
        return results

    def _follow(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if not self._holders[key]:
            self.now += size
        self._holders[key] += 1
        weakref.finalize(tensor, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._holders[key] -= 1
        if not self._holders[key]:
            self.now -= size
