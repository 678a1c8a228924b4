"""Blur pooling: downsampling by two after a binomial low-pass, which avoids aliasing.

y = (w * x) at every second position,  w = the outer product of a binomial row with itself, sum 1
(arXiv 1904.11486)
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class BlurPool(nn.Module):
    """Layer that halves height and width, rounding up.

    Args:
        size: side of the kernel; 3 is (1, 2, 1) / 4.
    """

    kernel: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        row = torch.tensor([math.comb(size - 1, k) for k in range(size)]) / 2 ** (size - 1)
        self.register_buffer("kernel", torch.outer(row, row)[None, None])

    def extra_repr(self) -> str:
        """Describe the side of the kernel for `repr`."""
        return f"size={len(self.kernel[0, 0])}"

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C h w"]:
        """Blur `x` and take every second position."""
        channels = x.shape[1]
        x = pad_same(x, self.kernel.shape[-1], stride=2)
        return F.conv2d(x, self.kernel.expand(channels, -1, -1, -1), stride=2, groups=channels)


def pad_same(
    x: Float[Tensor, "N C H W"], kernel: int, stride: int = 1
) -> Float[Tensor, "N C Hp Wp"]:
    """Pad an image with zeros so that a convolution gives ceil(size / stride) positions.

    If the number of zeros is odd, the extra one is at the bottom or on the right.
    """
    H, W = (max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
    return F.pad(x, (W // 2, W - W // 2, H // 2, H - H // 2))
