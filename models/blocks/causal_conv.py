"""CausalConv3d: a convolution over (time, height, width) that never looks ahead in time.

Output frame k depends on input frames <= k * stride. The clip is padded in front with zeros or with
copies of its first frame. Two shortcuts keep images as cheap as in a 2-D network, both exact: a
temporal kernel of 1 runs as a 2-D convolution over all frames, and for a single frame the temporal
kernel is folded into one 2-D kernel (copies: the sum of all taps; zeros: the tap on the frame).

With `causal=False` in the config, half of the padding is placed after the clip, as in the decoders
of the LTX-Video VAE; the output of a stream is then delayed by half the kernel.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .block_config import BlockConfig
from .stream_state import StreamState


class CausalConv3d(nn.Conv3d):
    """3-D convolution, causal (or centered, if the config says so), with "same" padding in space.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel: kernel size in time and in space; odd in space.
        stride: stride in time and in space.
        config: paddings and causality.
        bias: whether a bias is added.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        config: BlockConfig = BlockConfig(),
        bias: bool = True,
    ) -> None:
        time, space = kernel
        if stride[0] > time:
            raise ValueError(f"temporal stride {stride[0]} must not exceed temporal kernel {time}")
        if not config.causal and stride[0] > 1:
            raise ValueError("a convolution with temporal stride must be causal")
        super().__init__(
            in_channels,
            out_channels,
            kernel_size=(time, space, space),
            stride=(stride[0], stride[1], stride[1]),
            padding=(0, space // 2, space // 2),
            bias=bias,
        )
        self.config = config
        self.frames_after = 0 if config.causal else (time - 1) // 2
        self.frames_before = time - 1 - self.frames_after

    def forward(
        self, input: Float[Tensor, "B Cin T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout T2 H2 W2"]:
        """Convolve a clip, or the next chunk of a stream."""
        if self.kernel_size[0] == 1:
            return self._conv2d(input, self.weight[:, :, 0])
        if input.shape[2] == 1 and state is None:
            return self._conv2d(input, self._folded_weight())
        return self._conv3d(self._with_context(input, state))

    def _with_context(self, x: Tensor, state: StreamState | None) -> Tensor:
        """Return the input with the frames before and after it that the kernel needs."""
        before = None if state is None else state.recall(self)
        if before is None:
            before = self._copies(x, 0, self.frames_before)
        parts = [before, x]
        if self.frames_after and (state is None or state.last_chunk):
            parts.append(self._copies(x if x.shape[2] else before, -1, self.frames_after))
        seen = torch.cat(parts, dim=2)
        if state is not None and seen.shape[2]:
            taken = max(0, (seen.shape[2] - self.kernel_size[0]) // self.stride[0] + 1)
            state.keep(self, seen[:, :, taken * self.stride[0] :])
        return seen

    def _copies(self, x: Tensor, frame: int, count: int) -> Tensor:
        """Return the padding beyond an end of the clip: copies of that frame, or zeros."""
        if x.shape[2] == 0 or count == 0:
            return x[:, :, :0]
        copies = x[:, :, [frame]].expand(-1, -1, count, -1, -1)
        return copies if self.config.temporal_padding == "replicate" else torch.zeros_like(copies)

    def _conv3d(self, x: Tensor) -> Tensor:
        """Convolve in time and space; an input shorter than the kernel gives no frame."""
        if x.shape[2] < self.kernel_size[0]:
            empty = x[:, :, :0].sum(dim=1, keepdim=True).expand(-1, self.out_channels, -1, -1, -1)
            return empty[..., :: self.stride[1], :: self.stride[2]]
        if self.config.spatial_padding == "zeros":
            return F.conv3d(x, self.weight, self.bias, self.stride, self.padding)
        side = self.kernel_size[1] // 2
        frames = x.transpose(1, 2).flatten(0, 1)
        padded = F.pad(frames, (side,) * 4, mode=self.config.spatial_padding)
        x = padded.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)
        return F.conv3d(x, self.weight, self.bias, self.stride)

    def _conv2d(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve each frame separately."""
        B, _, T, _, _ = x.shape
        frames = x[:, :, 0] if T == 1 else x.transpose(1, 2).flatten(0, 1)
        side = self.kernel_size[1] // 2
        if self.config.spatial_padding == "zeros" or side == 0:
            y = F.conv2d(frames, weight, self.bias, self.stride[1:], side)
        else:
            padded = F.pad(frames, (side,) * 4, mode=self.config.spatial_padding)
            y = F.conv2d(padded, weight, self.bias, self.stride[1:])
        return y.unsqueeze(2) if T == 1 else y.unflatten(0, (B, T)).transpose(1, 2)

    def _folded_weight(self) -> Tensor:
        """Return the 2-D kernel that is equivalent for a clip of one frame."""
        if self.config.temporal_padding == "replicate":
            return self.weight.sum(dim=2)
        return self.weight[:, :, self.frames_before]
