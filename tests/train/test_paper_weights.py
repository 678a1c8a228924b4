"""Numbers from papers, as docs/training.md translates them: their formula with theirs is ours.

References are written out by hand for random tensors, in the reductions of the published code.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tiny import tiny_tokenizer
from vistok import IBQ, KL, VQ, VisualTokenizer
from vistok.component import validate
from vistok.tokenizers.encoding import Output
from vistok.train.config.files import load_run_config
from vistok.train.losses.discriminator import discriminator_objective
from vistok.train.losses.gan import GAN, build_gan
from vistok.train.losses.generator import generator_objective
from vistok.train.losses.options import Adversarial, Losses
from vistok.train.losses.perceptual import PerceptualLoss
from vistok.train.losses.pixel_likelihood import PixelLikelihood

CPU = torch.device("cpu")
SIDE = 16
PIXEL_VALUES = 3 * SIDE * SIDE


class Distance(nn.Module):
    """A stand-in for LPIPS: one distance per image, (N, 1, 1, 1)."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).square().mean(dim=(1, 2, 3), keepdim=True)


def forward(
    kind: str, bottleneck: dict, frames: int
) -> tuple[VisualTokenizer, Output, torch.Tensor]:
    tokenizer = tiny_tokenizer(kind, bottleneck).train()
    noise = torch.Generator().manual_seed(0)
    pixels = torch.rand(2, 3, frames, SIDE, SIDE, generator=noise) * 2 - 1
    return tokenizer, tokenizer(pixels), pixels


def per_frame(clips: torch.Tensor) -> torch.Tensor:
    return clips.transpose(1, 2).flatten(0, 1)


def sum_of_pixels(ours: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Latent diffusion's and VidTok's |x - y| + LPIPS: summed, LPIPS over all pixels, per frame."""
    frames, originals = per_frame(ours), per_frame(pixels)
    error = (frames - originals).abs() + 1.0 * Distance()(frames, originals)
    return error.sum() / len(frames)


def sum_of_kl(output: Output) -> torch.Tensor:
    assert output.encoding.posterior is not None
    (grid,) = output.encoding.posterior.grids
    assert grid.logvar is not None
    kl = 0.5 * (grid.mean**2 + grid.logvar.exp() - 1 - grid.logvar)
    return kl.sum() / len(kl)


def loss_of(output: Output, pixels: torch.Tensor, **weights) -> torch.Tensor:
    losses = validate(Losses, {"perceptual_weight": 1.0, **weights})
    perceptual = PerceptualLoss(Distance())
    return generator_objective(output, pixels, losses, perceptual=perceptual).loss


@pytest.mark.parametrize(
    ("config", "kind", "frames"),
    [("image_kl_f8_ldm", "image", 1), ("video_kl_4x8x8_vidtok", "video", 17)],
)
def test_latent_diffusions_and_vidtoks_kl_is_a_sum_beside_a_sum_per_frame(config, kind, frames):
    """1e-6 there; here 1e-6 T per pixel value of T frames."""
    shipped = load_run_config(config, ["data.source=anywhere"])
    bottleneck = shipped.model.bottleneck.model_dump()
    assert shipped.data.frames == frames
    _, output, pixels = forward(kind, bottleneck, frames)
    kl = sum_of_kl(output)
    ours = loss_of(output, pixels) * PIXEL_VALUES
    torch.testing.assert_close(ours, sum_of_pixels(output.pixels, pixels) + 1e-6 * kl)
    # The divergence is too small in such a sum to be seen: compare it alone, too.
    torch.testing.assert_close(output.loss * PIXEL_VALUES, 1e-6 * kl)


@pytest.mark.parametrize("config", ["image_kl_f8", "image_dual_f8", "video_kl_4x8x8"])
def test_the_plain_configs_have_the_same_kl(config):
    shipped = load_run_config(config, ["data.source=anywhere"])
    bottleneck = shipped.model.bottleneck.model_dump()
    options = bottleneck.get("continuous", bottleneck)
    assert options["kl_reduction"] == "per_pixel"
    assert options["kl_weight"] == pytest.approx(1e-6 * shipped.data.frames)


def test_ta_titoks_kl_is_a_sum_beside_a_mean():
    bottleneck = {"kind": "kl", "latent_channels": 2, "kl_weight": 1e-6}
    bottleneck["kl_reduction"] = "sum_over_batch"
    _, output, pixels = forward("image", bottleneck, 1)
    pixel_error = F.mse_loss(output.pixels, pixels)
    perceptual = Distance()(per_frame(output.pixels), per_frame(pixels)).mean()
    reference = pixel_error + 1.1 * perceptual + 1e-6 * sum_of_kl(output)
    ours = loss_of(output, pixels, l1_weight=0.0, l2_weight=1.0, perceptual_weight=1.1)
    torch.testing.assert_close(ours, reference)
    torch.testing.assert_close(output.loss, 1e-6 * sum_of_kl(output))


def test_a_mean_kl_weighs_48_times_as_much_for_the_shape_of_stable_diffusions_vae():
    x = torch.randn(1, 1, 32, 32, 8, generator=torch.Generator().manual_seed(0))
    mean, per_pixel = (
        KL(4, kl_reduction=reduction).train()(x, pixel_values=3 * 256 * 256).loss
        for reduction in ("mean", "per_pixel")
    )
    assert (mean / per_pixel).item() == pytest.approx(48)


def test_vidtoks_log_variance_is_that_of_a_sum():
    _, output, pixels = forward("video", {"kind": "fsq"}, 5)
    s = 0.7
    likelihood = PixelLikelihood(s, (0.9, 0.999), CPU)
    losses = validate(Losses, {"perceptual_weight": 1.0, "learn_logvar": True, "logvar_init": s})
    objective = generator_objective(
        output, pixels, losses, perceptual=PerceptualLoss(Distance()), likelihood=likelihood
    )
    frames, originals = per_frame(output.pixels), per_frame(pixels)
    error = (frames - originals).abs() + 1.0 * Distance()(frames, originals)
    nll = error / math.exp(s) + s
    reference = nll.sum() / len(nll)
    torch.testing.assert_close(objective.loss * PIXEL_VALUES, reference)


@pytest.mark.parametrize("clamp", [1e4, 1.0], ids=["as published", "in reach"])
def test_an_adaptive_weight_of_sums_ends_sooner(clamp):
    """disc_weight stays; the clamp is divided by the number of pixel values of a frame."""
    tokenizer, output, pixels = forward("image", {"kind": "plain"}, 1)
    layer = tokenizer.get_parameter("decoder.conv_out.weight")
    game = gan(adaptive=True, generator_loss="hinge", max_adaptive_weight=clamp / PIXEL_VALUES)
    pixel_sum = sum_of_pixels(output.pixels, pixels)
    adversarial = -game.discriminator(output.pixels).mean()
    slopes = [
        torch.autograd.grad(loss, layer, retain_graph=True)[0].norm()
        for loss in (pixel_sum, adversarial)
    ]
    weight = (slopes[0] / (slopes[1] + 1e-4)).clamp(0, clamp)
    reference = pixel_sum + 0.5 * weight * adversarial
    losses = validate(Losses, {"perceptual_weight": 1.0, "adversarial_weight": 0.5})
    ours = generator_objective(
        output, pixels, losses, perceptual=PerceptualLoss(Distance()), gan=game, last_layer=layer
    )
    torch.testing.assert_close(ours.loss * PIXEL_VALUES, reference)


# ---- the discriminator ---------------------------------------------------------------------------


def gan(**options) -> GAN:
    torch.manual_seed(1)
    network = {"kind": "patchgan", "base_channels": 8, "num_layers": 1, "norm": "group"}
    return build_gan(validate(Adversarial, {"discriminator": network, **options}), CPU)


def batches() -> tuple[torch.Tensor, torch.Tensor]:
    real, fake = torch.randn(2, 3, 3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return real, fake


def judged(**options) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Loss of a discriminator, and its logits of originals and reconstructions."""
    game, (real, fake) = gan(**options), batches()
    with torch.no_grad():
        game.lecam.real.fill_(0.4)
        game.lecam.fake.fill_(-0.3)
        logits = game.discriminator(real), game.discriminator(fake)
    objective = discriminator_objective(game.discriminator, real, fake, gan=game, step=0)
    return objective.loss.detach(), *logits


def hinge(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def test_wetoks_and_vidtoks_lecam_is_of_logits_after_the_averages():
    loss, real, fake = judged(lecam_weight=0.05)
    r, f = 0.999 * 0.4 + 0.001 * real.mean(), 0.999 * -0.3 + 0.001 * fake.mean()
    lecam = F.relu(real - f).pow(2).mean() + F.relu(r - fake).pow(2).mean()
    torch.testing.assert_close(loss, hinge(real, fake) + 0.05 * lecam)


def test_titoks_lecam_is_of_means_before_the_averages():
    loss, real, fake = judged(lecam_weight=0.001, lecam_form="mean_logit")
    lecam = F.relu(real.mean() + 0.3) ** 2 + F.relu(0.4 - fake.mean()) ** 2
    torch.testing.assert_close(loss, hinge(real, fake) + 0.001 * lecam)


@pytest.mark.parametrize(
    ("name", "theirs", "ours"), [("StyleGAN", 10.0 / 2, 10.0), ("MAGVIT", 10.0, 20.0)]
)
def test_r1_is_of_the_sum_of_a_samples_logits(name, theirs, ours):
    """StyleGAN: gamma / 2 times the squared gradient; MAGVIT: cost times it."""
    options = {"lecam_weight": 0, "loss": "vanilla"}
    without, *_ = judged(**options)
    penalized, *_ = judged(**options, r1_weight=ours, r1_every_steps=1)
    game, (real, _) = gan(**options), batches()
    real.requires_grad_()
    (gradient,) = torch.autograd.grad(game.discriminator(real).sum(), real)
    penalty = gradient.square().flatten(1).sum(dim=1).mean()
    torch.testing.assert_close(penalized - without, theirs * penalty)


def test_magvits_non_saturating_losses_are_of_patches_and_without_a_half():
    """There BCE + BCE; `vanilla` has half of it, so that its LeCam and R1 are halved as well."""

    def bce(logits: torch.Tensor, label: float) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    loss, real, fake = judged(loss="vanilla", lecam_weight=0.001 / 2, lecam_form="mean_logit")
    lecam = F.relu(real.mean() + 0.3) ** 2 + F.relu(0.4 - fake.mean()) ** 2
    torch.testing.assert_close(2 * loss, bce(real, 1.0) + bce(fake, 0.0) + 0.001 * lecam)

    _, output, pixels = forward("image", {"kind": "plain"}, 1)
    game = gan(generator_loss="non_saturating_per_patch")
    losses = validate(Losses, {"l1_weight": 0.0, "l2_weight": 1.0, "adversarial_weight": 0.1})
    ours = generator_objective(output, pixels, losses, gan=game).loss
    logits = game.discriminator(output.pixels)
    reference = F.mse_loss(output.pixels, pixels) + 0.1 * bce(logits, 1.0)
    torch.testing.assert_close(ours, reference)


# ---- quantizers ----------------------------------------------------------------------------------


def test_vqgans_legacy_loss_weighs_the_codes_by_beta():
    q = VQ(codebook_size=16, codebook_dim=4, commitment_weight=1.0, codebook_weight=0.25)
    z = torch.randn(32, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    out = q(z)
    e = q.codebook[out.indices.squeeze(1)]
    reference = (e.detach() - z).pow(2).mean() + 0.25 * (e - z.detach()).pow(2).mean()
    for ours, theirs in zip(
        torch.autograd.grad(out.loss, (z, q.codebook)),
        torch.autograd.grad(reference, (z, q.codebook)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_ibqs_released_loss_is_the_default():
    q = IBQ(codebook_size=16, codebook_dim=4, entropy_weight=0.0)
    z = torch.randn(32, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    out = q(z)
    soft = (z @ q.codebook.t()).softmax(dim=1)
    hard = F.one_hot(soft.argmax(dim=1), 16).float()
    zq, zq2 = (hard - soft.detach() + soft) @ q.codebook, hard @ q.codebook
    reference = (
        (zq - z).pow(2).mean()
        + (zq2.detach() - z).pow(2).mean()
        + 0.25 * (zq2 - z.detach()).pow(2).mean()
    )
    torch.testing.assert_close(out.loss, reference)
    for ours, theirs in zip(
        torch.autograd.grad(out.loss, (z, q.codebook)),
        torch.autograd.grad(reference, (z, q.codebook)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


# ---- shipped configs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "adversarial_weight", "start_step", "lecam_weight"),
    [
        ("image_kl_f8_ldm", 0.5, 50_001, 0.0),
        ("video_kl_4x8x8_vidtok", 0.2, 10_000, 0.005),
        ("video_fsq_4x8x8_vidtok", 0.2, 10_000, 0.005),
    ],
)
def test_the_recipes_have_the_published_numbers(name, adversarial_weight, start_step, lecam_weight):
    config = load_run_config(name, ["data.source=anywhere"])
    losses, game = config.train.losses, config.train.adversarial
    assert (losses.l1_weight, losses.l2_weight, losses.perceptual_weight) == (1, 0, 1)
    assert (losses.adversarial_weight, game.adaptive) == (adversarial_weight, True)
    assert (game.start_step, game.lecam_weight) == (start_step, lecam_weight)
    clamp = 1e4 / (3 * config.data.size**2)
    assert game.max_adaptive_weight == pytest.approx(clamp, rel=1e-4)


def test_every_shipped_config_says_whose_weights_it_has():
    from vistok.config import SHIPPED

    for path in sorted(SHIPPED.glob("*.yaml")):
        assert "\n# weights    " in path.read_text(encoding="utf-8"), path.name
