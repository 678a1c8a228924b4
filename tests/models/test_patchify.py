"""Space to depth and back lose nothing and keep the documented channel order."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from vistok.models.patchify import depth_to_space, space_to_depth

few = st.integers(1, 3)


@given(few, few, few, few, few, few)
def test_the_round_trip_is_exact(channels, time, space, t, h, w):
    x = torch.randn(2, channels, t * time, h * space, w * space)
    packed = space_to_depth(x, time, space)
    assert packed.shape == (2, channels * time * space**2, t, h, w)
    assert torch.equal(depth_to_space(packed, time, space), x)


def test_channels_are_packed_channel_time_row_column():
    x = torch.arange(2 * 2 * 2 * 2).view(1, 2, 2, 2, 2).float()
    assert torch.equal(space_to_depth(x, 2, 2).flatten(), torch.arange(16.0))
