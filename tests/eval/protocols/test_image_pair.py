"""Pixels of any supported shape and dtype become a pair; others are refused."""

import pytest
import torch

from random_clips import noisy_pair
from vistok.eval.protocols.image_pair import pair_of_pixels


def test_floats_are_clamped_and_rounded_and_bytes_are_kept():
    expected = noisy_pair(clips=2, frames=3, size=8)
    assert expected.pixels is not None
    pair = pair_of_pixels(expected.originals, expected.pixels)
    assert torch.equal(pair.originals, expected.originals)
    assert torch.equal(pair.reconstructions, expected.reconstructions)
    assert pair.pixels is expected.pixels
    assert pair_of_pixels(expected.originals, expected.reconstructions).pixels is None
    floats = expected.originals.double() / 127.5 - 1
    assert torch.equal(pair_of_pixels(floats, expected.pixels).originals, expected.originals)


def test_images_have_one_frame():
    x = torch.zeros(2, 3, 8, 8)
    assert pair_of_pixels(x, x).originals.shape == (2, 3, 1, 8, 8)


@pytest.mark.parametrize(
    ("originals", "reconstructions", "message"),
    [
        (torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 9), "the same shape, got"),
        (torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8), "originals must be clips"),
        (torch.zeros(3, 8, 8), torch.zeros(3, 8, 8), "originals must be clips"),
        (torch.full((1, 3, 8, 8), 255.0), torch.zeros(1, 3, 8, 8), r"\[-1, 1\], got 255 to 255"),
        (torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), float("nan")), "got NaN"),
    ],
)
def test_other_values_are_refused(originals, reconstructions, message):
    with pytest.raises(ValueError, match=message):
        pair_of_pixels(originals, reconstructions)


def test_other_integers_are_refused():
    integers = torch.zeros(1, 3, 8, 8, dtype=torch.int64)
    with pytest.raises(TypeError, match=r"floats in .* or uint8, got torch\.int64"):
        pair_of_pixels(integers, integers)
