"""StreamState: what the layers of a network carry over from one chunk of a clip to the next.

A clip is streamed as a first chunk of 1 + n*f frames and further chunks of n*f frames, f being the
temporal factor. Every layer that looks back in time keeps its last input frames here, under its own
key; the modules themselves stay free of hidden state, so one network can serve many streams at
once.

Networks that look ahead (non-causal decoders) answer late: a layer emits a frame when everything
that the frame sees has arrived, and the rest when `last_chunk` is set.
"""

from typing import TypeGuard

import torch
from torch import Tensor, nn


class StreamState:
    """Carry-over of one stream through one network; give a new one to every new clip.

    Attributes:
        first_chunk: whether the clip begins with the present chunk.
        last_chunk: whether it ends with it; only networks that look ahead need to know.
    """

    def __init__(self) -> None:
        self.first_chunk = True
        self.last_chunk = False
        self._kept: dict[tuple[nn.Module, str], Tensor] = {}
        self._branches: dict[int, StreamState] = {}

    def branch(self, index: int) -> "StreamState":
        """The stream of one part of the frames, where a network runs on parts of them."""
        branch = self._branches.setdefault(index, StreamState())
        branch.last_chunk = self.last_chunk
        return branch

    def keep(self, layer: nn.Module, frames: Tensor, what: str = "input") -> None:
        """Keep a copy of some frames (B, C, T, H, W) for the layer's next chunk."""
        self._kept[layer, what] = frames.clone()

    def recall(self, layer: nn.Module, what: str = "input") -> Tensor | None:
        """The frames that a layer kept from the chunk before."""
        return self._kept.get((layer, what))


def continues(state: StreamState | None) -> TypeGuard[StreamState]:
    """Whether the input continues a clip, so that its first frame is not the clip's first."""
    return state is not None and not state.first_chunk


def last_frames(x: Tensor, count: int) -> Tensor:
    """The last `count` frames of a clip, or all of a shorter one."""
    return x[:, :, max(0, x.shape[2] - count) :]


def align_shortcut(
    layer: nn.Module, x: Tensor, branch: Tensor, state: StreamState | None
) -> Tensor:
    """The frames of `x` (and of what waited before) that belong to the frames of `branch`."""
    if state is None:
        return x
    waiting = state.recall(layer, "shortcut")
    if waiting is None and branch.shape[2] == x.shape[2]:
        return x
    x = x if waiting is None else torch.cat([waiting, x], dim=2)
    state.keep(layer, x[:, :, branch.shape[2] :], "shortcut")
    return x[:, :, : branch.shape[2]]
