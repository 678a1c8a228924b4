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
        ({"lecam_decay": 1}, "lecam_decay: .*less than 1, got 1"),
    ],
)
def test_wrong_settings_are_one_clear_message(options, message):
    with pytest.raises(ValueError, match=message):
        validate(Adversarial, options)
