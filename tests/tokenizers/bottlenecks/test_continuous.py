"""The continuous bottlenecks: what the encoder emits, what is drawn, what is lost."""

import pytest
import torch

from tiny import tiny_tokenizer
from vistok import KL, FixedSigma, Plain

BOTTLENECKS = [
    KL(latent_channels=4),
    KL(latent_channels=4, logvar="uniform"),
    KL(latent_channels=4, logvar="constant"),
    FixedSigma(latent_channels=4, sigma=0.5),
    Plain(latent_channels=4),
]


def vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=BOTTLENECKS, ids=lambda b: f"{type(b).__name__} {b.dim}")
def bottleneck(request):
    return request.param.train()


def test_eval_mode_gives_the_mode_and_no_loss(bottleneck):
    x = vectors(5, 6, bottleneck.dim)
    out = bottleneck.eval()(x)
    assert torch.equal(out.codes, x[..., :4])
    assert torch.equal(out.codes, bottleneck.posterior(x).mode())
    assert out.loss == 0
    assert out.indices is None


def test_keys_stay_and_gradients_are_finite(bottleneck):
    x = vectors(50, bottleneck.dim).requires_grad_()
    out = bottleneck(x)
    assert out.terms.keys() == bottleneck.eval()(x).terms.keys()
    (out.codes.square().sum() + out.loss).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_broken_latents_are_refused_by_name(bottleneck):
    with pytest.raises(ValueError, match=r"received latents with \d+ NaN"):
        bottleneck(torch.full((2, bottleneck.dim), float("nan")))


def test_one_log_variance_serves_all_channels():
    kl = KL(latent_channels=128, logvar="uniform")
    assert kl.dim == 129
    x = vectors(10, 129)
    posterior = kl.posterior(x)
    assert torch.equal(posterior.logvar, x[:, 128:].expand(10, 128))
    # the divergence of one position, by hand
    mean, logvar = x[0, :128], x[0, 128]
    expected = 0.5 * (mean.square() + logvar.exp() - 1 - logvar)
    torch.testing.assert_close(posterior.kl()[0], expected)


def test_a_constant_log_variance_is_no_noise_and_drops_the_last_channel():
    kl = KL(latent_channels=4, logvar="constant").train()
    x = vectors(10, 5)
    assert torch.equal(kl.posterior(x).logvar, torch.full((10, 4), -30.0))
    torch.testing.assert_close(kl(x).codes, x[:, :4], atol=1e-5, rtol=0)


def test_noise_has_the_given_strength():
    torch.manual_seed(0)
    noise = FixedSigma(latent_channels=4, sigma=0.5).train()
    x = torch.zeros(20_000, 4)
    # 80 000 draws: the standard error of sigma is 0.00125
    assert noise(x).codes.std().item() == pytest.approx(0.5, abs=0.006)
    assert torch.allclose(noise.posterior(x).logvar, torch.tensor(0.25).log())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KL(latent_channels=0), "latent_channels must be >= 1"),
        (lambda: KL(kl_weight=-1.0), "kl_weight must be >= 0"),
        (lambda: FixedSigma(sigma=0.0), "sigma must be > 0, got 0.0; for no noise use kind: plain"),
        (lambda: FixedSigma(latent_channels=0), "latent_channels must be >= 1"),
        (lambda: FixedSigma(kl_weight=-1.0), "kl_weight must be >= 0"),
    ],
)
def test_impossible_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [KL, FixedSigma], ids=lambda make: make.__name__)
def test_the_divergence_has_one_of_three_units(make):
    """Of three samples of 2 x 4 x 5 positions and 6 channels, made from 240 pixel values each."""
    losses = {}
    for reduction in ("mean", "per_pixel", "sum_over_batch"):
        bottleneck = make(latent_channels=6, kl_weight=0.5, kl_reduction=reduction).train()
        x = vectors(3, 2, 4, 5, bottleneck.dim)
        out = bottleneck(x, pixel_values=240)
        of_samples = bottleneck.posterior(x).kl().flatten(1).sum(dim=1)
        torch.testing.assert_close(out.loss, 0.5 * out.terms["kl"])
        losses[reduction] = out.terms["kl"] / of_samples.mean()
    expected = {"mean": 1 / (2 * 4 * 5 * 6), "per_pixel": 1 / 240, "sum_over_batch": 1.0}
    assert losses == pytest.approx(expected)


def test_a_divergence_per_pixel_needs_pixels_in_train_mode_only():
    kl = KL(latent_channels=4, kl_reduction="per_pixel").train()
    with pytest.raises(ValueError, match="kl_reduction=per_pixel needs the number of pixel values"):
        kl(vectors(2, 8))
    assert kl.eval()(vectors(2, 8)).loss == 0


def test_a_tokenizer_counts_the_pixel_values_of_its_clips():
    terms = {}
    pixels = vectors(2, 3, 5, 16, 24).clamp(-1, 1)
    for reduction in ("per_pixel", "sum_over_batch"):
        options = {"kind": "kl", "latent_channels": 2, "kl_reduction": reduction}
        terms[reduction] = tiny_tokenizer("video", options).train()(pixels).terms["kl"].item()
    assert terms["per_pixel"] == pytest.approx(terms["sum_over_batch"] / (3 * 5 * 16 * 24))
