"""LeCam: averages move before they are used, belong to the state, and are of all ranks."""

import pytest
import torch

from vistok.train.losses.lecam import LeCam


def logits(value: float) -> torch.Tensor:
    return torch.full((2, 1, 1, 3, 3), value)


def test_the_averages_move_first_and_then_make_the_loss():
    lecam = LeCam(decay=0.9)
    loss = lecam(logits(2.0), logits(-1.0))
    torch.testing.assert_close(lecam.real, torch.tensor(0.2))
    torch.testing.assert_close(lecam.fake, torch.tensor(-0.1))
    torch.testing.assert_close(loss, torch.tensor((2.0 + 0.1) ** 2 + (0.2 + 1.0) ** 2))


def test_the_other_published_form_compares_means_with_the_averages_before():
    """TiTok and MAGVIT: means of logits, whose averages move after the loss."""
    real, fake = torch.randn(2, 4, 1, 1, 3, 3, generator=torch.Generator().manual_seed(0)) * 3
    lecam = LeCam(decay=0.9, form="mean_logit")
    lecam.load_state_dict({"real": torch.tensor(0.7), "fake": torch.tensor(-0.4)})
    loss = lecam(real, fake)
    expected = (real.mean() + 0.4).clamp(min=0) ** 2 + (0.7 - fake.mean()).clamp(min=0) ** 2
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(lecam.real, 0.9 * 0.7 + 0.1 * real.mean())
    torch.testing.assert_close(lecam.fake, 0.9 * -0.4 + 0.1 * fake.mean())


def test_logits_on_their_side_of_the_averages_cost_nothing():
    lecam = LeCam(decay=0.5)
    assert lecam(logits(-1.0), logits(1.0)).item() == 0


@pytest.mark.parametrize("form", ["per_logit", "mean_logit"])
def test_gradients_reach_the_logits_and_not_the_averages(form):
    lecam, real = LeCam(form=form), logits(1.0).requires_grad_()
    lecam(real, logits(-1.0)).backward()
    assert real.grad is not None
    assert real.grad.min() > 0
    assert not lecam.real.requires_grad


def test_the_state_goes_on_where_it_was():
    first, again = LeCam(), LeCam()
    first(logits(3.0), logits(1.0))
    again.load_state_dict(first.state_dict())
    assert torch.equal(again(logits(1.0), logits(2.0)), first(logits(1.0), logits(2.0)))
    assert set(first.state_dict()) == {"real", "fake"}
