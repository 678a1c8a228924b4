"""MaskBit's discriminator: size-preserving convolutions and anti-aliased pooling.

    conv 5x5, act, [conv 3x3, pool, norm, act] per layer, conv 1x1, act, conv 5x5

Widths are c, c, 2c, 4c, ...: they double from the second layer on (arXiv 2409.16211).
"""

from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from ...size_limits import MAX_CHANNELS, MAX_HALVINGS, Channels, Halvings, check_limits
from .blur_pool import BlurPool, pad_same
from .discriminator import (
    Discriminator,
    Logits,
    Normalization,
    Pixels,
    frames_of,
    normalization,
    spectrally_normed,
)

Pooling = Literal["average", "blur3", "blur4", "blur5"]
POOLINGS = {"blur3": 3, "blur4": 4, "blur5": 5}


class MaskBitDiscriminator(Discriminator):
    """Discriminator of single frames.

    Args:
        base_channels: width of the first layers.
        num_layers: number of layers, each of which halves height and width.
        pooling: kind of pooling: average over 2x2 pixels, or a binomial blur of 3, 4 or 5 pixels.
        activation: leaky_relu (slope 0.1) or silu.
        norm: group, batch, sync_batch (statistics over all GPUs) or none.
        spectral_norm: whether weights are divided by their largest singular value.
        in_channels: channels of the pixels.
    """

    def __init__(
        self,
        base_channels: Channels = 64,
        num_layers: Halvings = 3,
        pooling: Pooling = "blur4",
        activation: Literal["leaky_relu", "silu"] = "leaky_relu",
        norm: Normalization = "group",
        spectral_norm: bool = False,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        check_limits("base_channels", base_channels, MAX_CHANNELS)
        check_limits("num_layers", num_layers, MAX_HALVINGS)

        def conv(inputs: int, outputs: int, kernel: int) -> nn.Module:
            return spectrally_normed(SameConv2d(inputs, outputs, kernel), spectral_norm)

        def act() -> nn.Module:
            return nn.LeakyReLU(0.1) if activation == "leaky_relu" else nn.SiLU()

        def pool() -> nn.Module:
            return nn.AvgPool2d(2) if pooling == "average" else BlurPool(POOLINGS[pooling])

        self.min_side = 2**num_layers
        widths = [base_channels, *(base_channels * 2**number for number in range(num_layers))]
        check_limits("the width of the last layer", widths[-1], MAX_CHANNELS)
        self.block_in = nn.Sequential(conv(in_channels, widths[0], 5), act())
        self.blocks = nn.ModuleList(
            nn.Sequential(
                conv(inputs, outputs, 3), pool(), normalization(norm, outputs, dimensions=2), act()
            )
            for inputs, outputs in pairwise(widths)
        )
        self.to_logits = nn.Sequential(
            conv(widths[-1], widths[-1], 1), act(), conv(widths[-1], 1, 5)
        )

    def _logits(self, pixels: Pixels) -> Logits:
        x = self.block_in(frames_of(pixels))
        for block in self.blocks:
            x = block(x)
        return self.to_logits(x).unsqueeze(2)


class SameConv2d(nn.Conv2d):
    """Convolution of stride 1 whose output is as large as its input."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__(in_channels, out_channels, kernel)

    def forward(self, input: Float[Tensor, "N Cin H W"]) -> Float[Tensor, "N Cout H W"]:
        """Pad `input` with zeros and convolve it."""
        return super().forward(pad_same(input, self.kernel_size[0]))
