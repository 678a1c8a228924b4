"""StreamState: what causal layers carry over from one chunk of a clip to the next.

A clip is streamed as a first chunk of 1 + n*f frames and further chunks of n*f frames, f being the
temporal factor. Every layer that looks back in time keeps its last input frames here, under its own
key; the modules themselves stay free of hidden state, so one network can serve many streams at
once.
"""

from typing import TypeGuard

from torch import Tensor, nn


class StreamState:
    """Carry-over of one stream through one network; give a new one to every new clip."""

    def __init__(self) -> None:
        self.first_chunk = True
        self._frames: dict[nn.Module, Tensor] = {}

    def keep(self, layer: nn.Module, x: Tensor, frames: int) -> None:
        """Keep the last `frames` frames of `x` (B, C, T, H, W), and nothing else of it alive."""
        self._frames[layer] = x[:, :, x.shape[2] - frames :].clone()

    def recall(self, layer: nn.Module) -> Tensor:
        """The frames that `layer` kept from the chunk before."""
        return self._frames[layer]


def continues(state: StreamState | None) -> TypeGuard[StreamState]:
    """Whether the input continues a clip, so that its first frame is not the clip's first."""
    return state is not None and not state.first_chunk
