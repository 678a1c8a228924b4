"""delayed: hold a shortcut back until the branch beside it has answered.

Branches that look ahead emit fewer frames than they take until the stream ends. The shortcut then
waits in the stream's state, so that both sides of an addition speak of the same frames.
"""

import torch
from torch import Tensor, nn

from .stream_state import StreamState


def delayed(layer: nn.Module, x: Tensor, branch: Tensor, state: StreamState | None) -> Tensor:
    """The frames of `x` (and of what waited before) that belong to the frames of `branch`."""
    if state is None:
        return x
    waiting = state.recall(layer, "shortcut")
    if waiting is None and branch.shape[2] == x.shape[2]:
        return x
    x = x if waiting is None else torch.cat([waiting, x], dim=2)
    state.keep(layer, x[:, :, branch.shape[2] :], "shortcut")
    return x[:, :, : branch.shape[2]]
