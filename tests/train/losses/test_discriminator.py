"""The discriminator's objective: originals, then reconstructions, and a game that may not count."""

import torch

from vistok.component import validate
from vistok.train.losses.discriminator import discriminator_objective
from vistok.train.losses.gan import GAN, build_gan
from vistok.train.losses.generator import Objective
from vistok.train.losses.options import Adversarial

DISCRIMINATOR = {"kind": "patchgan", "base_channels": 8, "num_layers": 1, "norm": "group"}


def gan(**options) -> GAN:
    torch.manual_seed(1)
    options = validate(Adversarial, {"discriminator": DISCRIMINATOR, **options})
    return build_gan(options, torch.device("cpu"))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    pixels, fakes = torch.randn(2, 2, 3, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    return pixels, fakes


def judge(game: GAN, step: int = 0) -> Objective:
    return discriminator_objective(game.discriminator, *batch(), gan=game, step=step)


def test_the_loss_is_the_weighted_sum_of_its_terms():
    game = gan(lecam_weight=0.5, r1_weight=2.0, r1_every_steps=3)
    objective = judge(game)
    terms = objective.terms
    assert set(terms) == {"discriminator", "logits_real", "logits_fake", "lecam", "r1"}
    assert min(terms["lecam"], terms["r1"]) > 0
    expected = terms["discriminator"] + 0.5 * terms["lecam"] + 2 * 3 * terms["r1"]
    torch.testing.assert_close(objective.loss.detach(), expected)


def test_r1_is_looked_at_every_few_steps_under_the_same_name():
    game = gan(r1_weight=1.0, r1_every_steps=3)
    penalties = [judge(game, step).terms["r1"].item() > 0 for step in range(7)]
    assert penalties == [True, False, False, True, False, False, True]


def test_what_has_no_weight_is_not_computed():
    game = gan(lecam_weight=0)
    assert set(judge(game).terms) == {"discriminator", "logits_real", "logits_fake"}
    assert game.lecam.real == 0


def test_before_the_start_nothing_is_learned_but_averages_move():
    game = gan(start_step=5)
    objective = judge(game, step=4)
    assert objective.loss == 0
    assert not objective.loss.requires_grad, "no graph is built, and no step is taken"
    assert objective.terms["discriminator"] > 0
    assert game.lecam.real != 0
    assert judge(game, step=5).loss > 0


def test_before_the_start_a_discriminator_without_averages_is_not_called():
    game = gan(start_step=5, lecam_weight=0, r1_weight=1.0)
    calls = []
    game.discriminator.register_forward_hook(lambda *call: calls.append(call))
    early = judge(game, step=4)
    assert calls == []
    assert not early.loss.requires_grad
    assert {term.item() for term in (early.loss, *early.terms.values())} == {0.0}
    assert judge(game, step=5).terms.keys() == early.terms.keys(), "the keys never change"


def test_the_discriminator_learns_from_its_own_start():
    game = gan(start_step=5, discriminator_start_step=2)
    assert [judge(game, step).loss.requires_grad for step in range(1, 4)] == [False, True, True]


def test_neither_batch_gets_a_gradient():
    pixels, fakes = batch()
    fakes.requires_grad_()
    game = gan(r1_weight=1.0)
    discriminator_objective(game.discriminator, pixels, fakes, gan=game, step=0).loss.backward()
    assert fakes.grad is None
    assert not pixels.requires_grad


def test_it_learns_to_tell_originals_from_reconstructions():
    game = gan()
    optimizer = torch.optim.Adam(game.discriminator.parameters(), lr=1e-2)
    for step in range(30):
        optimizer.zero_grad()
        judge(game, step).loss.backward()
        optimizer.step()
    terms = judge(game, step=30).terms
    assert terms["logits_real"] > terms["logits_fake"] + 1


def test_half_precision_is_judged_in_fp32():
    game = gan()
    pixels, fakes = (x.bfloat16() for x in batch())
    with torch.autocast("cpu", torch.bfloat16):
        objective = discriminator_objective(game.discriminator, pixels, fakes, gan=game, step=0)
    assert {term.dtype for term in (objective.loss, *objective.terms.values())} == {torch.float32}
