"""Adversarial losses are their formulas, and pull the two players in opposite directions."""

import pytest
import torch
import torch.nn.functional as F

from vistok.train.losses.adversarial import DISCRIMINATOR_LOSSES, GENERATOR_LOSSES


def logits(seed: int) -> torch.Tensor:
    return torch.randn(3, 1, 2, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2


def cross_entropy(values: torch.Tensor, label: float) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(values, torch.full_like(values, label))


def test_discriminator_losses_are_their_formulas():
    real, fake = logits(0), logits(1)
    hinge = (1 - real).clamp(min=0).mean() / 2 + (1 + fake).clamp(min=0).mean() / 2
    vanilla = (cross_entropy(real, 1.0) + cross_entropy(fake, 0.0)) / 2
    means = [x.mean(dim=(1, 2, 3, 4)) for x in (real, fake)]
    whole = cross_entropy(means[0], 1.0) + cross_entropy(means[1], 0.0)
    expected = {"hinge": hinge, "vanilla": vanilla, "non_saturating": whole}
    assert expected.keys() == DISCRIMINATOR_LOSSES.keys()
    for name, loss in DISCRIMINATOR_LOSSES.items():
        torch.testing.assert_close(loss(real, fake), expected[name])


def test_generator_losses_are_their_formulas():
    fake = logits(1)
    whole = cross_entropy(fake.mean(dim=(1, 2, 3, 4)), 1.0)
    expected = {"hinge": -fake.mean(), "non_saturating": whole}
    expected["non_saturating_per_patch"] = cross_entropy(fake, 1.0)
    assert expected.keys() == GENERATOR_LOSSES.keys()
    for name, loss in GENERATOR_LOSSES.items():
        torch.testing.assert_close(loss(fake), expected[name])


@pytest.mark.parametrize("name", DISCRIMINATOR_LOSSES)
@pytest.mark.parametrize("opponent", GENERATOR_LOSSES)
def test_the_players_want_opposite_things(name, opponent):
    real, fake = logits(0).requires_grad_(), logits(1).requires_grad_()
    DISCRIMINATOR_LOSSES[name](real, fake).backward()
    assert real.grad is not None
    assert fake.grad is not None
    assert real.grad.max() <= 0, "originals are to look more real"
    assert fake.grad.min() >= 0, "reconstructions are to look less real"
    fake.grad = None
    GENERATOR_LOSSES[opponent](fake).backward()
    assert fake.grad is not None
    assert fake.grad.max() < 0
