"""R1 is half the squared gradient of a sample's summed logits, averaged over the samples."""

import pytest
import torch
from torch import nn

from vistok.models.discriminators.catalog import DISCRIMINATORS
from vistok.train.losses.r1 import r1_penalty


def test_it_is_the_squared_slope_of_a_linear_judge():
    judge = nn.Conv3d(3, 1, kernel_size=1)
    pixels = torch.rand(4, 3, 1, 2, 2).requires_grad_()
    # the sum over four patches has the slope w at each of them
    expected = 0.5 * judge.weight.square().sum() * 4
    torch.testing.assert_close(r1_penalty(judge, judge(pixels), pixels), expected)


@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_it_is_that_of_stylegan(kind):
    """StyleGAN2's loss: gamma / 2 times the squared gradient of each sample's logits, averaged."""
    torch.manual_seed(0)
    discriminator = DISCRIMINATORS[kind](base_channels=8, num_layers=1, norm="group")
    gamma, pixels = 10.0, torch.rand(3, 3, 1, 12, 12)
    of_samples = []
    for sample in pixels.split(1):
        sample.requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(sample).sum(), sample)
        of_samples.append(gradient.square().sum())
    expected = gamma / 2 * torch.stack(of_samples).mean()
    batch = pixels.requires_grad_()
    penalty = gamma * r1_penalty(discriminator, discriminator(batch), batch)
    torch.testing.assert_close(penalty, expected)


@pytest.mark.parametrize("kind", DISCRIMINATORS)
@pytest.mark.parametrize("norm", ["group", "none"])
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
