"""PatchGAN: a few strided convolutions that classify overlapping patches (arXiv 1611.07004).

    images   4x4 convolutions; widths c, 2c, 4c, ..., at most 8c; stride 2 except for the last two
    clips    3x3x3 convolutions of the same widths; only the first two halve time

The first layer has no norm, the last one gives the logit. Convolution weights are drawn from
N(0, 0.02^2), the gains of norms from N(1, 0.02^2). Layers have the indices in `main` that published
checkpoints use, with an identity in place of a missing norm.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal

from torch import nn

from ...size_limits import MAX_CHANNELS, MAX_HALVINGS, Channels, Halvings, check_limits
from .discriminator import (
    Discriminator,
    Logits,
    Normalization,
    Pixels,
    frames_of,
    normalization,
    spectrally_normed,
)

INITIAL_STD = 0.02
MAX_WIDTH_FACTOR = 8

# (channels in, channels out, layer number counted from 0, whether it has a bias) -> convolution
MakeConvolution = Callable[[int, int, int, bool], nn.Module]


class PatchGAN(Discriminator):
    """Discriminator of single frames.

    Args:
        base_channels: width of the first layer.
        num_layers: number of layers of stride 2.
        norm: batch, sync_batch (statistics over all GPUs), group or none.
        spectral_norm: whether weights are divided by their largest singular value.
        in_channels: channels of the pixels.
    """

    def __init__(
        self,
        base_channels: Channels = 64,
        num_layers: Halvings = 3,
        norm: Normalization = "batch",
        spectral_norm: bool = False,
        in_channels: int = 3,
    ) -> None:
        super().__init__()

        def convolution(inputs: int, outputs: int, number: int, bias: bool) -> nn.Module:
            stride = 2 if number < num_layers else 1
            return nn.Conv2d(inputs, outputs, kernel_size=4, stride=stride, padding=1, bias=bias)

        # Two layers of stride 1 remove one row and one column each and must leave at least one.
        self.min_side = 3 * 2**num_layers
        widths = _widths(base_channels, num_layers)
        self.main = _layers(in_channels, widths, convolution, norm, spectral_norm, dimensions=2)

    def _logits(self, pixels: Pixels) -> Logits:
        return self.main(frames_of(pixels)).unsqueeze(2)


class PatchGAN3D(Discriminator):
    """Discriminator of clips, including their motion; images are clips of one frame.

    Args:
        base_channels: width of the first layer.
        num_layers: number of layers of stride 2 in space; the first two also halve time.
        norm: batch, sync_batch (statistics over all GPUs), group or none.
        spectral_norm: whether weights are divided by their largest singular value.
        in_channels: channels of the pixels.
    """

    def __init__(
        self,
        base_channels: Channels = 64,
        num_layers: Halvings = 3,
        norm: Normalization = "batch",
        spectral_norm: bool = False,
        in_channels: int = 3,
    ) -> None:
        super().__init__()

        def convolution(inputs: int, outputs: int, number: int, bias: bool) -> nn.Module:
            space = 2 if number < num_layers else 1
            stride = (space if number < 2 else 1, space, space)
            return nn.Conv3d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=bias)

        self.min_side = 2**num_layers
        widths = _widths(base_channels, num_layers)
        self.main = _layers(in_channels, widths, convolution, norm, spectral_norm, dimensions=3)

    def _logits(self, pixels: Pixels) -> Logits:
        return self.main(pixels)


def _widths(base_channels: int, num_layers: int) -> list[int]:
    """Return the channels after every layer except the last."""
    check_limits("base_channels", base_channels, MAX_CHANNELS)
    check_limits("num_layers", num_layers, MAX_HALVINGS)
    return [base_channels * min(2**number, MAX_WIDTH_FACTOR) for number in range(num_layers + 1)]


def _layers(
    in_channels: int,
    widths: list[int],
    convolution: MakeConvolution,
    norm: Normalization,
    spectral: bool,
    dimensions: Literal[2, 3],
) -> nn.Sequential:
    """Return convolution, norm, leaky ReLU, ..., convolution."""

    def layers() -> Iterator[nn.Module]:
        for number, (inputs, outputs) in enumerate(
            zip([in_channels, *widths], [*widths, 1], strict=True)
        ):
            outermost = number in (0, len(widths))
            # All norms except none have their own bias.
            layer = convolution(inputs, outputs, number, outermost or norm == "none")
            yield spectrally_normed(_initialized(layer), spectral)
            if not outermost:
                yield _initialized(normalization(norm, outputs, dimensions))
            if number < len(widths):
                yield nn.LeakyReLU(0.2)

    return nn.Sequential(*layers())


def _initialized(layer: Any) -> nn.Module:
    """Draw the weights; biases of norms start at 0, those of convolutions as in torch."""
    if isinstance(layer, nn.Conv2d | nn.Conv3d):
        nn.init.normal_(layer.weight, 0.0, INITIAL_STD)
    elif not isinstance(layer, nn.Identity):
        nn.init.normal_(layer.weight, 1.0, INITIAL_STD)
        nn.init.zeros_(layer.bias)
    return layer
