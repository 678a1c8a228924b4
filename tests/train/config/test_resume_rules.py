"""Rules on settings that differ between two starts: free, fixed, or for the user to allow."""

import pytest

from runs import tiny_run
from vistok.config import flatten
from vistok.train.config.resume_rules import (
    _FIXED,
    KEYS_FREE_ON_RESUME,
    covers,
    differences,
    fixed_differences,
)

SETTINGS = flatten(tiny_run().to_tree())


def test_every_rule_names_a_setting():
    for key in (*KEYS_FREE_ON_RESUME, *_FIXED):
        assert any(covers(key, setting) for setting in SETTINGS), key


def test_a_key_covers_a_setting_or_a_section_but_no_other_word():
    assert covers("train.lr", "train.lr")
    assert covers("train", "train.lr_factors.decoder")
    assert not covers("train.lr", "train.lr_factors.decoder")
    assert not covers("train.adversarial.discriminator", "train.adversarial.discriminator_start")


@pytest.mark.parametrize("key", ["eval.every_steps", "train.max_skipped_steps", "data.workers"])
def test_free_settings_do_not_differ(key):
    assert differences(SETTINGS, {**SETTINGS, key: 3}) == {}


@pytest.mark.parametrize(
    ("key", "fixed"),
    [
        ("model.bottleneck.kind", True),
        ("model.bottleneck.levels.0", True),
        ("model.bottleneck.entropy_weight", False),
        ("train.seed", True),
        ("start.weights", True),
        ("train.optimizer.kind", True),
        ("train.optimizer.eps", False),
        ("train.lr", False),
        ("train.grad_clip_norm", False),
        ("train.batch_size", False),
        ("train.schedule", False),
        ("train.warmup_steps", False),
        ("train.losses.l2_weight", False),
        ("train.losses.perceptual_weight", False),
        ("train.adversarial.start_step", False),
        ("train.adversarial.discriminator.num_layers", False),  # there is no discriminator
        ("data.source", False),
    ],
)
def test_fixed_is_what_the_checkpoint_holds(key, fixed):
    now = {**SETTINGS, key: "another"}
    assert list(differences(SETTINGS, now)) == [key]
    assert list(fixed_differences(SETTINGS, now)) == [key] * fixed
