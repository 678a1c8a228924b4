"""SpatialAttention: single-head self-attention among the positions of each frame."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .norm import NORMS, NormKind
from .zero_init import zero_init


class SpatialAttention(nn.Module):
    """Pre-norm self-attention, every frame alone, added to its input."""

    def __init__(self, channels: int, norm: NormKind) -> None:
        super().__init__()
        self.norm = NORMS[norm](channels)
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.proj = zero_init(nn.Linear(channels, channels))

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C T H W"]:
        """Attend within frames."""
        B, C, T, H, W = x.shape
        positions = self.norm(x).permute(0, 2, 3, 4, 1).reshape(B * T, 1, H * W, C)
        q, k, v = self.to_qkv(positions).chunk(3, dim=-1)
        attended = self.proj(F.scaled_dot_product_attention(q, k, v))
        return x + attended.view(B, T, H, W, C).permute(0, 4, 1, 2, 3)
