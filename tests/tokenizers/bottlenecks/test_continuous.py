"""The continuous bottlenecks: what the encoder emits, what is drawn, what is lost."""

import pytest
import torch

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
