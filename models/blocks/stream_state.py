"""StreamState: the frames that layers carry over from one chunk of a clip to the next.

A clip is streamed as a first chunk of 1 + n*f frames and further chunks of n*f frames, where f is
the temporal factor. Every layer that looks back in time keeps its last input frames here, under its
own key; the modules themselves hold no hidden state, so one network can serve many streams at once.

The output of networks that look ahead (non-causal decoders) is delayed: a layer emits a frame once
everything that the frame depends on has arrived, and the remaining frames when `last_chunk` is set.
"""

from typing import TypeGuard

import torch
from torch import Tensor, nn


class StreamState:
    """State of one stream through one network; every clip needs a new one.

    Attributes:
        first_chunk: whether the clip starts with the current chunk.
        last_chunk: whether the clip ends with it; only networks that look ahead need to know.
    """

    def __init__(self) -> None:
        self.first_chunk = True
        self.last_chunk = False
        self._kept: dict[tuple[nn.Module, str], Tensor] = {}
        self._branches: dict[int, StreamState] = {}

    def branch(self, index: int) -> "StreamState":
        """Return the state of one spatial part, for networks that run on parts of the frames."""
        branch = self._branches.setdefault(index, StreamState())
        branch.last_chunk = self.last_chunk
        return branch

    def keep(self, layer: nn.Module, frames: Tensor, what: str = "input") -> None:
        """Keep a copy of some frames (B, C, T, H, W) for the next chunk of a layer."""
        self._kept[layer, what] = frames.clone()

    def recall(self, layer: nn.Module, what: str = "input") -> Tensor | None:
        """Return the frames that a layer kept from the previous chunk, or None."""
        return self._kept.get((layer, what))


def continues(state: StreamState | None) -> TypeGuard[StreamState]:
    """Return whether the input continues a clip, so its first frame is not that of the clip."""
    return state is not None and not state.first_chunk


def last_frames(x: Tensor, count: int) -> Tensor:
    """Return the last `count` frames of a clip, or all frames of a shorter one."""
    return x[:, :, max(0, x.shape[2] - count) :]


def align_shortcut(
    layer: nn.Module, x: Tensor, branch: Tensor, state: StreamState | None
) -> Tensor:
    """Return the frames of `x` (and of earlier chunks) that correspond to those of `branch`."""
    if state is None:
        return x
    waiting = state.recall(layer, "shortcut")
    if waiting is None and branch.shape[2] == x.shape[2]:
        return x
    x = x if waiting is None else torch.cat([waiting, x], dim=2)
    state.keep(layer, x[:, :, branch.shape[2] :], "shortcut")
    return x[:, :, : branch.shape[2]]
