"""Self-attention among the positions of a frame, or between a position and its own past."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .block_config import BlockConfig
from .norm import make_norm
from .residual_block import zero_init
from .stream_state import StreamState, continues, last_frames


class SpatialAttention(nn.Module):
    """Pre-norm single-head self-attention within each frame, added to its input."""

    def __init__(self, channels: int, config: BlockConfig) -> None:
        super().__init__()
        self.norm = make_norm(channels, config)
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        if config.zero_init:
            zero_init(self.proj)

    def forward(
        self, x: Float[Tensor, "B C T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B C T H W"]:
        """Attend among the positions of each frame, and add the result to `x`."""
        B, C, T, H, W = x.shape
        positions = self.norm(x).permute(0, 2, 3, 4, 1).reshape(B * T, 1, H * W, C)
        q, k, v = self.to_qkv(positions).chunk(3, dim=-1)
        attended = self.proj(F.scaled_dot_product_attention(q, k, v))
        return x + attended.view(B, T, H, W, C).permute(0, 4, 1, 2, 3)


class TemporalAttention(nn.Module):
    """Pre-norm single-head attention of each position to its last `window` frames.

    The window bounds how much a stream has to remember. A learned bias per temporal distance lets
    the layer tell frames apart.
    """

    def __init__(self, channels: int, config: BlockConfig, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm = make_norm(channels, config)
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.distance_bias = nn.Parameter(torch.zeros(window))
        self.proj = nn.Linear(channels, channels)
        if config.zero_init:
            zero_init(self.proj)

    def extra_repr(self) -> str:
        """Describe the window for `repr`."""
        return f"window={self.window}"

    def forward(
        self, x: Float[Tensor, "B C T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B C T H W"]:
        """Attend from each position to its past, and add the result to `x`."""
        past = state.recall(self) if continues(state) else None
        seen = x if past is None else torch.cat([past, x], dim=2)
        if state is not None:
            state.keep(self, last_frames(seen, self.window - 1))
        T, S = x.shape[2], seen.shape[2]
        positions = self.norm(seen).permute(0, 3, 4, 2, 1)  # (B, H, W, S, C)
        q, k, v = self.to_qkv(positions).chunk(3, dim=-1)
        bias = self._bias(T, S)
        attended = F.scaled_dot_product_attention(q[..., S - T :, :], k, v, attn_mask=bias)
        return x + self.proj(attended).permute(0, 4, 3, 1, 2)

    def _bias(self, T: int, S: int) -> Float[Tensor, "T S"]:
        """Return the attention bias: learned inside the window, minus infinity outside."""
        present = torch.arange(S - T, S, device=self.distance_bias.device)
        distance = present[:, None] - torch.arange(S, device=present.device)[None, :]
        visible: Bool[Tensor, "T S"] = (distance >= 0) & (distance < self.window)
        bias = self.distance_bias[distance.clamp(0, self.window - 1)]
        return bias.masked_fill(~visible, float("-inf"))
