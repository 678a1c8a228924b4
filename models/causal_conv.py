"""CausalConv3d: a convolution over (time, height, width) that never looks ahead in time.

Output frame k depends on input frames <= k * stride. Before the first frame stand either zeros or
copies of it. Two shortcuts keep images as cheap as in a 2-D network, both exact: a temporal kernel
of 1 runs as a 2-D convolution over all frames, and a single frame meets a temporal kernel folded
into one 2-D kernel (copies: the sum of all taps; zeros: the last tap).
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .stream_state import StreamState, continues

TemporalPadding = Literal["zero", "replicate"]


class CausalConv3d(nn.Conv3d):
    """Causal 3-D convolution, "same" padding in space.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel: size in time and in space, both odd in space.
        stride: stride in time and in space.
        temporal_padding: what stands before the first frame.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        temporal_padding: TemporalPadding = "zero",
    ) -> None:
        time, space = kernel
        if stride[0] > time:
            raise ValueError(f"temporal stride {stride[0]} must not exceed temporal kernel {time}")
        super().__init__(
            in_channels,
            out_channels,
            kernel_size=(time, space, space),
            stride=(stride[0], stride[1], stride[1]),
            padding=(0, space // 2, space // 2),
        )
        self.temporal_padding: TemporalPadding = temporal_padding

    def forward(
        self, input: Float[Tensor, "B Cin T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout T2 H2 W2"]:
        """Convolve a clip, or the next chunk of a stream."""
        if self.kernel_size[0] == 1:
            return self._conv2d(input, self.weight[:, :, 0])
        if input.shape[2] == 1 and state is None:
            return self._conv2d(input, self._folded_weight())
        front = state.recall(self) if continues(state) else self._before_clip(input)
        x = torch.cat([front, input], dim=2)
        if state is not None:
            state.keep(self, x, frames=self.kernel_size[0] - self.stride[0])
        return super().forward(x)

    def _conv2d(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve every frame alone."""
        B, _, T, _, _ = x.shape
        frames = x[:, :, 0] if T == 1 else x.transpose(1, 2).flatten(0, 1)
        y = F.conv2d(frames, weight, self.bias, self.stride[1:], self.padding[1:])
        return y.unsqueeze(2) if T == 1 else y.unflatten(0, (B, T)).transpose(1, 2)

    def _folded_weight(self) -> Tensor:
        """The 2-D kernel that a clip of one frame meets."""
        if self.temporal_padding == "replicate":
            return self.weight.sum(dim=2)
        return self.weight[:, :, -1]

    def _before_clip(self, x: Tensor) -> Tensor:
        """What stands before the clip's first frame."""
        B, C, _, H, W = x.shape
        frames = self.kernel_size[0] - 1
        if self.temporal_padding == "replicate":
            return x[:, :, :1].expand(B, C, frames, H, W)
        return x.new_zeros(B, C, frames, H, W)
