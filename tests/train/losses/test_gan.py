"""The game from the first step to the last: it can be saved and taken up again to the bit."""

from pathlib import Path

import torch

from tiny import tiny_tokenizer
from vistok.component import build, validate
from vistok.train.losses.discriminator import discriminator_objective
from vistok.train.losses.gan import build_gan
from vistok.train.losses.generator import generator_objective
from vistok.train.losses.options import Adversarial, Losses
from vistok.train.optimization.optimizer import OPTIMIZERS, build_optimizer

LOSSES = validate(Losses, {"adversarial_weight": 0.5})
RULES = {
    "discriminator": {"kind": "patchgan", "base_channels": 8, "num_layers": 1, "norm": "group"},
    "adaptive": True,
    "start_step": 2,
    "discriminator_start_step": 1,
    "lecam_form": "mean_logit",
    "warmup_steps": 2,
    "r1_weight": 1.0,
    "r1_every_steps": 2,
}


class Run:
    """A tokenizer and its discriminator, both with their optimizers, as the loop steps them."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.tokenizer = tiny_tokenizer("image", {"kind": "plain"}).train()
        self.gan = build_gan(validate(Adversarial, RULES), torch.device("cpu"))
        recipe = build(OPTIMIZERS, {"kind": "adam", "betas": [0.5, 0.9]}, "train.optimizer")
        self.generator_optimizer = build_optimizer(self.tokenizer, recipe, 1e-3)
        self.discriminator_optimizer = build_optimizer(self.gan.discriminator, recipe, 1e-3)
        self.saved = {
            "tokenizer": self.tokenizer,
            "generator_optimizer": self.generator_optimizer,
            "discriminator": self.gan.discriminator,
            "discriminator_optimizer": self.discriminator_optimizer,
            "lecam": self.gan.lecam,
        }

    def train(self, steps: range) -> dict[str, torch.Tensor]:
        terms: dict[str, torch.Tensor] = {}
        for step in steps:
            generator = torch.Generator().manual_seed(step)
            pixels = torch.rand(2, 3, 1, 16, 16, generator=generator) * 2 - 1
            output = self.tokenizer(pixels)
            layer = self.tokenizer.get_parameter("decoder.conv_out.weight")
            played = generator_objective(
                output, pixels, LOSSES, step=step, gan=self.gan, last_layer=layer
            )
            played.loss.backward()
            self.generator_optimizer.step()
            self.generator_optimizer.zero_grad()
            judged = discriminator_objective(
                self.gan.discriminator, pixels, output.pixels, gan=self.gan, step=step
            )
            if judged.loss.requires_grad:  # not before the start
                judged.loss.backward()
            self.discriminator_optimizer.step()
            self.discriminator_optimizer.zero_grad()
            terms = played.terms | judged.terms
        return terms

    def save(self, path: Path) -> None:
        torch.save({name: part.state_dict() for name, part in self.saved.items()}, path)

    def load(self, path: Path) -> None:
        for name, state in torch.load(path, weights_only=True).items():
            self.saved[name].load_state_dict(state)


def test_a_game_in_two_parts_equals_one_in_one(tmp_path):
    whole, first, second = Run(), Run(), Run()
    expected = whole.train(range(4))
    first.train(range(2))
    first.save(tmp_path / "state.pt")
    second.load(tmp_path / "state.pt")
    terms = second.train(range(2, 4))
    assert terms.keys() == expected.keys()
    assert all(torch.equal(terms[name], expected[name]) for name in terms)
    for name in ("tokenizer", "discriminator", "lecam"):
        ours, theirs = (run.saved[name].state_dict() for run in (second, whole))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs), name


def test_the_names_of_both_players_terms_do_not_collide():
    pixel_errors, generator, discriminator = 2, 2, 5
    terms = Run().train(range(1))
    assert len(terms) == pixel_errors + generator + discriminator, sorted(terms)
