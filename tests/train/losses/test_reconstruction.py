"""Pixel losses are the means that their formulas say, in fp32, over images and clips alike."""

import pytest
import torch

from vistok.train.losses.reconstruction import (
    CHARBONNIER_EPS,
    charbonnier_loss,
    l1_loss,
    l2_loss,
    temporal_difference_loss,
)

LOSSES = (l1_loss, l2_loss, charbonnier_loss, temporal_difference_loss)


def clips(frames: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 2, 3, frames, 4, 4, generator=generator) * 2 - 1
    return x, y


def test_charbonnier_is_l1_far_from_zero_and_eps_at_zero():
    x, y = clips()
    assert charbonnier_loss(x, x).item() == pytest.approx(CHARBONNIER_EPS)
    assert charbonnier_loss(x, x + 0.5).item() == pytest.approx(0.5, rel=1e-5)
    expected = ((y - x) ** 2 + CHARBONNIER_EPS**2).sqrt().mean()
    torch.testing.assert_close(charbonnier_loss(x, y), expected)


def test_temporal_difference_sees_flicker_and_no_constant_error():
    x, y = clips()
    assert temporal_difference_loss(x + 0.3, x).item() == pytest.approx(0, abs=1e-6)
    frames = list(range(2))
    expected = sum(
        ((y[:, :, t + 1] - y[:, :, t]) - (x[:, :, t + 1] - x[:, :, t])).abs().mean() for t in frames
    ) / len(frames)
    torch.testing.assert_close(temporal_difference_loss(y, x), expected)


def test_images_have_no_temporal_difference_and_can_still_be_stepped():
    x, y = clips(frames=1)
    y.requires_grad_()
    loss = temporal_difference_loss(y, x)
    loss.backward()
    assert loss.item() == 0
    assert y.grad is not None
    assert not y.grad.any()


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_is_summed_in_fp32(loss):
    x, y = clips()
    half = loss(y.bfloat16(), x.bfloat16())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, loss(y.bfloat16().float(), x.bfloat16().float()))
