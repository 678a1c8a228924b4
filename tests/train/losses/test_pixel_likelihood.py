"""PixelLikelihood: its optimum is the reconstruction loss, and its state resumes to the bit."""

import pytest
import torch

from vistok.train.losses.pixel_likelihood import PixelLikelihood

CPU = torch.device("cpu")


def train(likelihood: PixelLikelihood, steps: int, loss: float, **options) -> None:
    for _ in range(steps):
        likelihood(torch.tensor(loss)).backward()
        likelihood.step(0.05, **options)


def test_at_its_optimum_it_is_the_logarithm_of_the_reconstruction_loss():
    likelihood = PixelLikelihood(0.0, (0.5, 0.9), CPU)
    train(likelihood, 300, loss=0.2)
    assert likelihood.logvar.exp().item() == pytest.approx(0.2, rel=1e-2)


def test_two_likelihoods_are_one_of_twice_the_weight():
    reconstruction, likelihood = torch.tensor(0.4), PixelLikelihood(0.7, (0.9, 0.99), CPU)
    both = likelihood(reconstruction) + likelihood(2 * reconstruction)
    torch.testing.assert_close(likelihood(3 * reconstruction, weight=2.0), both)


def test_the_state_resumes_to_the_bit():
    whole, first, second = (PixelLikelihood(0.1, (0.9, 0.99), CPU) for _ in range(3))
    train(whole, 4, loss=0.3)
    train(first, 2, loss=0.3)
    second.load_state_dict(first.state_dict())
    train(second, 2, loss=0.3)
    assert torch.equal(whole.logvar, second.logvar)


def test_a_skipped_step_and_a_scaled_loss_change_nothing():
    skipped, scaled, plain = (PixelLikelihood(0.1, (0.9, 0.99), CPU) for _ in range(3))
    train(skipped, 1, loss=float("inf"), skip=True)
    assert skipped.logvar == torch.tensor(0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(scaled(torch.tensor(0.3))).backward()
    scaled.step(0.05, scaler)
    train(plain, 1, loss=0.3)
    assert torch.equal(scaled.logvar, plain.logvar)
