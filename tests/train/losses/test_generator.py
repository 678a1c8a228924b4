"""The generator's objective: the weighted sum of terms whose names never change within a run."""

import math

import pytest
import torch
from torch import nn

from tiny import tiny_tokenizer
from vistok import VisualTokenizer
from vistok.component import validate
from vistok.tokenizers.encoding import Output
from vistok.train.losses.gan import GAN, build_gan
from vistok.train.losses.generator import generator_objective
from vistok.train.losses.options import Adversarial, Losses
from vistok.train.losses.perceptual import PerceptualLoss
from vistok.train.losses.pixel_likelihood import PixelLikelihood

CPU = torch.device("cpu")
DISCRIMINATOR = {"kind": "patchgan", "base_channels": 8, "num_layers": 1}


class Distance(nn.Module):
    """A perceptual network that needs no weights: the distance of brightness."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a.mean(dim=(1, 2, 3), keepdim=True) - b.mean(dim=(1, 2, 3), keepdim=True)).square()


def gan(**options) -> GAN:
    torch.manual_seed(1)
    return build_gan(validate(Adversarial, {"discriminator": DISCRIMINATOR, **options}), CPU)


def losses(**weights) -> Losses:
    return validate(Losses, weights)


def played(bottleneck: dict | None = None) -> tuple[VisualTokenizer, Output, torch.Tensor]:
    """A tokenizer, what it made of a batch, and the batch."""
    tokenizer = tiny_tokenizer("image", bottleneck).train()
    pixels = torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return tokenizer, tokenizer(pixels), pixels


GQ = {"kind": "gq", "num_groups": 2, "bits_per_group": 3}


def test_the_loss_is_the_weighted_sum_of_all_terms():
    tokenizer, output, pixels = played({"kind": "kl", "latent_channels": 2, "kl_weight": 0.5})
    weights = losses(
        l1_weight=2,
        l2_weight=3,
        charbonnier_weight=4,
        temporal_difference_weight=5,
        perceptual_weight=6,
        adversarial_weight=0.1,
    )
    objective = generator_objective(
        output, pixels, weights, perceptual=PerceptualLoss(Distance()), gan=gan()
    )
    terms = objective.terms
    expected = (
        2 * terms["l1"]
        + 3 * terms["l2"]
        + 4 * terms["charbonnier"]
        + 5 * terms["temporal_difference"]
        + 6 * terms["perceptual"]
        + 0.1 * terms["generator"]
        + 0.5 * terms["kl"]
    )
    torch.testing.assert_close(objective.loss.detach(), expected)
    assert terms["adversarial_weight"].item() == pytest.approx(0.1)
    assert not any(term.requires_grad for term in terms.values())
    objective.loss.backward()
    assert tokenizer.get_parameter("decoder.conv_out.weight").grad is not None


def test_what_has_no_weight_is_not_computed_and_pixel_errors_are_always_known():
    _, output, pixels = played({"kind": "plain"})
    objective = generator_objective(output, pixels, losses(l1_weight=0, charbonnier_weight=1))
    assert set(objective.terms) == {"l1", "l2", "charbonnier"}
    torch.testing.assert_close(objective.loss.detach(), objective.terms["charbonnier"])


@pytest.mark.parametrize("adaptive", [False, True])
def test_before_its_start_the_adversarial_loss_changes_no_gradient_and_costs_nothing(adaptive):
    tokenizer, output, pixels = played()
    layer = tokenizer.get_parameter("decoder.conv_out.weight")
    game = gan(start_step=2, adaptive=adaptive)
    with_game = losses(adversarial_weight=0.5)
    slopes = []
    for weights, opponent in ((losses(), None), (with_game, game)):
        objective = generator_objective(
            output, pixels, weights, step=1, gan=opponent, last_layer=layer
        )
        slopes.append(torch.autograd.grad(objective.loss, layer, retain_graph=True)[0])
    assert torch.equal(slopes[0], slopes[1])
    assert objective.terms["adversarial_weight"] == objective.terms["generator"] == 0
    batches = game.discriminator.get_buffer("main.3.num_batches_tracked")
    assert batches == 0, "it is not called"
    later = generator_objective(output, pixels, with_game, step=2, gan=game, last_layer=layer)
    assert later.terms.keys() == objective.terms.keys()
    assert min(later.terms["adversarial_weight"], later.terms["generator"]) > 0


def test_the_game_comes_to_count_over_its_warm_up():
    game = gan(start_step=3, warmup_steps=4)
    for factor in (game.generator_factor, game.discriminator_factor):
        assert [factor(step) for step in range(1, 9)] == [0, 0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert gan().generator_factor(0) == gan().discriminator_factor(0) == 1


def test_the_discriminator_may_learn_first():
    game = gan(start_step=3, discriminator_start_step=1, warmup_steps=2, updates_per_step=4)
    assert [game.generator_factor(step) for step in range(6)] == [0, 0, 0, 0.5, 1, 1]
    assert [game.discriminator_factor(step) for step in range(6)] == [0, 0.5, 1, 1, 1, 1]
    assert [game.updates(step) for step in range(3)] == [0, 4, 4]


def test_the_generator_pass_leaves_no_gradient_on_the_discriminator_and_frees_it_again():
    _, output, pixels = played()
    game = gan()
    generator_objective(output, pixels, losses(adversarial_weight=1), gan=game).loss.backward()
    weights = list(game.discriminator.parameters())
    assert all(weight.grad is None and weight.requires_grad for weight in weights)


def test_the_adaptive_weight_balances_both_pulls_at_the_last_layer():
    tokenizer, output, pixels = played()
    layer = tokenizer.get_parameter("decoder.conv_out.weight")
    game = gan(adaptive=True)
    objective = generator_objective(
        output,
        pixels,
        losses(l1_weight=2, adversarial_weight=0.8),
        gan=game,
        last_layer=layer,
    )
    alone = generator_objective(output, pixels, losses(l1_weight=2))
    both, one = (
        torch.autograd.grad(loss, layer, retain_graph=True)[0]
        for loss in (objective.loss, alone.loss)
    )
    assert (both - one).norm().item() == pytest.approx(0.8 * one.norm().item(), rel=1e-2)


def test_the_adaptive_weight_is_zero_where_nothing_is_learned():
    tokenizer, _, pixels = played()
    with torch.no_grad():
        objective = generator_objective(
            tokenizer(pixels),
            pixels,
            losses(adversarial_weight=1),
            gan=gan(adaptive=True),
            last_layer=tokenizer.get_parameter("decoder.conv_out.weight"),
        )
    assert objective.terms["adversarial_weight"] == 0


def test_a_frozen_last_layer_has_no_adaptive_weight_and_the_error_says_so():
    tokenizer, _, pixels = played()
    layer = tokenizer.get_parameter("decoder.conv_out.weight").requires_grad_(False)
    with pytest.raises(ValueError, match=r"neither frozen nor sharded"):
        generator_objective(
            tokenizer(pixels),
            pixels,
            losses(adversarial_weight=1),
            gan=gan(adaptive=True),
            last_layer=layer,
        )


def test_the_entropy_boost_falls_from_its_weight_to_nothing():
    _, output, pixels = played(GQ)
    plain = generator_objective(output, pixels, losses()).loss
    boosted = losses(entropy_warmup_weight=0.3, entropy_warmup_steps=4)
    entropy = output.terms["sample_entropy"] - output.terms["codebook_entropy"]
    for step, share in ((0, 1.0), (1, 0.75), (4, 0.0), (9, 0.0)):
        more = generator_objective(output, pixels, boosted, step=step).loss - plain
        torch.testing.assert_close(more, 0.3 * share * entropy, rtol=1e-4, atol=1e-6)


def test_an_entropy_boost_without_entropies_is_refused():
    _, output, pixels = played({"kind": "plain"})
    with pytest.raises(ValueError, match=r"entropy_warmup_weight=0\.3 needs a bottleneck with"):
        generator_objective(output, pixels, losses(entropy_warmup_weight=0.3))


def test_a_learned_log_variance_weighs_the_reconstruction_against_everything_else():
    tokenizer, output, pixels = played({"kind": "kl", "latent_channels": 2, "kl_weight": 0.5})
    likelihood = PixelLikelihood(0.3, (0.9, 0.99), CPU)
    layer = tokenizer.get_parameter("decoder.conv_out.weight")
    game, adaptive = gan(adaptive=True), {"adversarial_weight": 0.8, "l1_weight": 2}
    objective = generator_objective(
        output,
        pixels,
        losses(learn_logvar=True, logvar_init=0.3, **adaptive),
        gan=game,
        last_layer=layer,
        likelihood=likelihood,
    )
    without = generator_objective(
        output, pixels, losses(**adaptive), gan=gan(adaptive=True), last_layer=layer
    )
    terms = objective.terms
    factor = math.exp(-0.3)
    assert terms["logvar"].item() == pytest.approx(0.3)
    ours, theirs = terms["adversarial_weight"], without.terms["adversarial_weight"]
    torch.testing.assert_close(ours, factor * theirs)
    expected = factor * 2 * terms["l1"] + 0.3 + ours * terms["generator"] + 0.5 * terms["kl"]
    torch.testing.assert_close(objective.loss.detach(), expected)
    objective.loss.backward()
    torch.testing.assert_close(likelihood.logvar.grad, 1 - factor * 2 * terms["l1"])


def test_a_frozen_quantizer_in_eval_mode_adds_nothing():
    """WeTok's second stage: reconstruction and game alone, under the same names."""
    tokenizer, first, pixels = played(GQ)
    tokenizer.bottleneck.requires_grad_(False).eval()
    weights = losses(adversarial_weight=0.1)
    stages = [
        generator_objective(output, pixels, weights, gan=gan())
        for output in (first, tokenizer(pixels))
    ]
    assert stages[0].terms.keys() == stages[1].terms.keys()
    terms = stages[1].terms
    torch.testing.assert_close(stages[1].loss.detach(), terms["l1"] + 0.1 * terms["generator"])
    assert not torch.allclose(stages[0].loss, stages[1].loss)


def test_terms_are_fp32_under_autocast():
    tokenizer, _, pixels = played()
    with torch.autocast("cpu", torch.bfloat16):
        output = tokenizer(pixels)
        objective = generator_objective(
            output,
            pixels,
            losses(perceptual_weight=1, adversarial_weight=1),
            perceptual=PerceptualLoss(Distance()),
            gan=gan(),
        )
    assert objective.loss.dtype == torch.float32
    assert {term.dtype for term in objective.terms.values()} == {torch.float32}


def test_pixel_errors_and_the_bottleneck_loss_add_up():
    tokenizer = tiny_tokenizer("image", {"kind": "kl", "latent_channels": 2, "kl_weight": 0.5})
    pixels = torch.rand(2, 3, 1, 16, 16) * 2 - 1
    output = tokenizer.train()(pixels)
    objective = generator_objective(output, pixels, Losses(l1_weight=2.0, l2_weight=3.0))
    terms = objective.terms
    expected = 2 * terms["l1"] + 3 * terms["l2"] + 0.5 * terms["kl"]
    torch.testing.assert_close(objective.loss.detach(), expected)
    torch.testing.assert_close(terms["l1"], (output.pixels - pixels).abs().mean().detach())
    assert not any(term.requires_grad for term in terms.values())
