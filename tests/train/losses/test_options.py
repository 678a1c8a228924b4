"""The settings of what training minimises: checked before anything is built or downloaded."""

import pytest
import torch

from vistok.component import validate
from vistok.models.discriminators.catalog import DISCRIMINATORS
from vistok.train.losses.options import Adversarial, Losses


@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_every_discriminator_can_be_asked_for(kind):
    options = validate(Adversarial, {"discriminator": {"kind": kind, "base_channels": 8}})
    discriminator = options.build_discriminator()
    assert type(discriminator) is DISCRIMINATORS[kind]
    assert discriminator.training
    assert discriminator(torch.zeros(2, 3, 1, 32, 32)).shape[0] == 2


def test_a_log_variance_that_is_not_learned_has_no_first_value():
    with pytest.raises(ValueError, match="logvar_init=2 needs learn_logvar=true"):
        validate(Losses, {"logvar_init": 2.0})


def test_by_default_there_is_nothing_to_download_or_to_play():
    losses = validate(Losses, {})
    assert losses.perceptual_weight == losses.adversarial_weight == 0
    again = validate(Adversarial, validate(Adversarial, {}).model_dump())
    assert again.discriminator.kind == "patchgan"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discriminator": {"kind": "patchgans"}}, "must be one of patchgan,.*did you mean"),
        ({"discriminator": {"kind": "patchgan", "in_channels": 6}}, "in_channels: unknown key"),
        ({"loss": "wasserstein"}, "'hinge', 'vanilla' or 'non_saturating'"),
        (
            {"r1_weight": 10.0, "discriminator": {"kind": "patchgan", "norm": "batch"}},
            r"r1_weight=10 needs the gradient of each sample.*norm=batch mixes.*group or none",
        ),
        ({"r1_weight": 10.0}, r"discriminator\.norm=batch mixes"),
        ({"start_step": 5, "discriminator_start_step": 6}, "=6 lies after start_step=5"),
        ({"updates_per_step": 0}, "updates_per_step: .*greater than 0, got 0"),
        ({"optimizer": {"kind": "adam", "beta": 1}}, "optimizer.beta: unknown key; did you mean"),
        ({"lecam_form": "mean"}, "'per_logit' or 'mean_logit'"),
        ({"lecam_decay": 1}, "lecam_decay: .*less than 1, got 1"),
    ],
)
def test_wrong_settings_are_one_clear_message(options, message):
    with pytest.raises(ValueError, match=message):
        validate(Adversarial, options)
