"""A causal convolution equals a plain 3-D convolution over an explicitly padded clip."""

import pytest
import torch
import torch.nn.functional as F

from vistok.models.blocks.block_config import BlockConfig
from vistok.models.blocks.causal_conv import CausalConv3d
from vistok.models.blocks.stream_state import StreamState

PADDINGS = ("zeros", "replicate")


def reference(conv: CausalConv3d, x: torch.Tensor) -> torch.Tensor:
    """Pad in front by hand, then convolve."""
    front = conv.kernel_size[0] - 1
    before = x[:, :, :1].repeat(1, 1, front, 1, 1)
    if conv.config.temporal_padding == "zeros":
        before = torch.zeros_like(before)
    side = conv.kernel_size[1] // 2
    padded = F.pad(torch.cat([before, x], dim=2), (side, side, side, side))
    return F.conv3d(padded, conv.weight, conv.bias, conv.stride)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("kernel", [(1, 1), (1, 3), (3, 3), (4, 3)])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_it_equals_a_convolution_over_a_padded_clip(padding, kernel, frames):
    conv = CausalConv3d(3, 4, kernel, config=BlockConfig(temporal_padding=padding)).double()
    x = torch.randn(2, 3, frames, 6, 5, dtype=torch.double)
    torch.testing.assert_close(conv(x), reference(conv, x), atol=1e-12, rtol=0)


@pytest.mark.parametrize("padding", PADDINGS)
def test_a_single_frame_through_the_folded_kernel_equals_the_full_kernel(padding):
    conv = CausalConv3d(3, 4, config=BlockConfig(temporal_padding=padding))
    x = torch.randn(2, 3, 1, 6, 5)
    # fp32 sums of the taps in another order
    torch.testing.assert_close(conv(x), reference(conv, x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("stride", [(1, 1), (2, 2)])
def test_chunks_of_a_stream_equal_the_whole_clip(padding, stride):
    conv = CausalConv3d(3, 4, stride=stride, config=BlockConfig(temporal_padding=padding)).double()
    x = torch.randn(1, 3, 9, 6, 6, dtype=torch.double)
    state = StreamState()
    outputs = []
    for chunk in (x[:, :, :1], x[:, :, 1:3], x[:, :, 3:9]):
        outputs.append(conv(chunk, state))
        state.first_chunk = False
    torch.testing.assert_close(torch.cat(outputs, dim=2), conv(x), atol=1e-12, rtol=0)


def test_a_stride_beyond_the_kernel_is_refused():
    with pytest.raises(ValueError, match="temporal stride 2 must not exceed temporal kernel 1"):
        CausalConv3d(3, 4, kernel=(1, 3), stride=(2, 1))
