"""WeTok's shipped configs: what they spell out is what `wetok_options` says."""

import pytest
import torch

from vistok.component import validate
from vistok.models.wetok import wetok_options
from vistok.train.run_config import Model, load_run_config

F8, F16, F32 = (1, 2, 2, 4), (1, 1, 2, 2, 4), (1, 1, 2, 2, 4, 8)
# Width, multipliers, blocks, groups, generative decoder.
SHAPES = {
    "wetok_f8_24x": (256, F8, 4, 8, False),
    "wetok_f8_48x": (256, F8, 4, 4, False),
    "wetok_f16_192x": (256, F16, 4, 4, False),
    "wetok_f32_768x_stage1": (256, F32, 4, 4, False),
    "wetok_f32_768x_stage2": (256, F32, 4, 4, True),
    "wetok_imagenet_f8": (256, F8, 4, 4, False),
    "wetok_imagenet_f16": (256, F16, 4, 4, False),
    "wetok_tiny": (32, F8, 1, 4, False),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_model_is_the_published_one(name):
    width, multipliers, blocks, groups, generative = SHAPES[name]
    encoder, decoder = wetok_options(width, multipliers, blocks, generative)
    quantizer = {"num_groups": groups, "bits_per_group": 8, "reduction": "reference"}
    expected = {
        "encoder": {"kind": "causal", **encoder},
        "bottleneck": {"kind": "gq", **quantizer},
        "decoder": {"kind": "causal", **decoder},
    }
    config = load_run_config(name, ["data.source=anywhere"])
    assert config.model == validate(Model, expected)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "wetok_tiny"])
def test_the_recipe_is_the_published_one(name):
    train = load_run_config(name, ["data.source=anywhere"]).train
    assert train.optimizer_recipe.betas == (0.5, 0.9)
    assert (train.lr, train.schedule, train.warmup_steps) == (1e-4, "constant", 0)
    assert (train.ema_decay, train.ema_warmup) == (0.999, False)
    losses = train.losses
    assert (losses.l1_weight, losses.perceptual_weight, losses.adversarial_weight) == (1, 1, 0.1)
    assert losses.perceptual_trunk == "vgg"
    adversarial = train.adversarial
    assert (adversarial.loss, adversarial.generator_loss) == ("hinge", "non_saturating")
    assert (adversarial.lecam_weight, adversarial.lecam_decay) == (0.05, 0.999)
    assert (adversarial.adaptive, adversarial.start_step) == (False, 0)
    with torch.device("meta"):
        discriminator = adversarial.build_discriminator()
    assert sum(p.numel() for p in discriminator.parameters()) == 2_765_633


def test_only_ratio_768_has_a_generative_decoder():
    found = {
        name: load_run_config(name, ["data.source=anywhere"]).model.decoder.generative
        for name in SHAPES
    }
    assert [name for name, generative in found.items() if generative] == ["wetok_f32_768x_stage2"]
