"""Space to depth and back lose nothing and keep the documented channel order."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from vistok.models.blocks.patchify import depth_to_space, space_to_depth

few = st.integers(1, 3)


orders = st.sampled_from(["channel_first", "column_first", "cell_first"])


@given(few, few, few, few, few, few, orders)
def test_the_round_trip_is_exact(channels, time, space, t, h, w, order):
    x = torch.randn(2, channels, t * time, h * space, w * space)
    packed = space_to_depth(x, time, space, order)
    assert packed.shape == (2, channels * time * space**2, t, h, w)
    assert torch.equal(depth_to_space(packed, time, space, order), x)


def test_channels_are_packed_channel_time_row_column():
    x = torch.arange(2 * 2 * 2 * 2).view(1, 2, 2, 2, 2).float()
    assert torch.equal(space_to_depth(x, 2, 2).flatten(), torch.arange(16.0))


def test_column_first_swaps_rows_and_columns_of_a_cell():
    x = torch.arange(4).view(1, 1, 1, 2, 2).float()
    assert space_to_depth(x, 1, 2, "column_first").flatten().tolist() == [0, 2, 1, 3]


def test_cell_first_has_the_channel_fastest():
    x = torch.stack([torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)], dim=1)
    assert space_to_depth(x, 1, 2, "cell_first").flatten().tolist() == [0, 1] * 4


def test_channel_first_is_what_torch_calls_pixel_unshuffle():
    x = torch.randn(2, 3, 1, 6, 4)
    expected = torch.nn.functional.pixel_unshuffle(x[:, :, 0], 2)
    assert torch.equal(space_to_depth(x, 1, 2)[:, :, 0], expected)
