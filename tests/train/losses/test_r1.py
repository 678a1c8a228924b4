"""R1 is half the squared slope of the mean logit, averaged over what is judged."""

import pytest
import torch
from torch import nn

from vistok.models.discriminators.catalog import DISCRIMINATORS
from vistok.train.losses.r1 import r1_penalty


def test_it_is_the_squared_slope_of_a_linear_judge():
    judge = nn.Conv3d(3, 1, kernel_size=1)
    pixels = torch.rand(4, 3, 1, 2, 2).requires_grad_()
    # the mean over four patches has the slope w / 4 at each of them
    expected = 0.5 * (judge.weight / 4).square().sum() * 4
    torch.testing.assert_close(r1_penalty(judge, judge(pixels), pixels), expected)


@pytest.mark.parametrize("kind", DISCRIMINATORS)
@pytest.mark.parametrize("norm", ["batch", "group", "none"])
def test_it_can_be_minimised_through_every_discriminator(kind, norm):
    torch.manual_seed(0)
    discriminator = DISCRIMINATORS[kind](base_channels=8, num_layers=1, norm=norm)
    pixels = torch.rand(2, 3, 2, 8, 8).requires_grad_()
    penalty = r1_penalty(discriminator, discriminator(pixels), pixels)
    penalty.backward()
    assert penalty > 0
    first = next(discriminator.parameters())
    assert first.grad is not None
    assert first.grad.any()
