"""WeTok's shipped configs: what they spell out is what `wetok_options` says."""

import json

import pytest
import torch

from vistok import VisualTokenizer
from vistok.component import validate
from vistok.models.published.wetok import wetok_options
from vistok.train.config.files import load_run_config, load_stages
from vistok.train.config.run_config import Model
from vistok.train.stages import train_stages

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
    # 32 groups of one channel would lose the brightness of every picture: not below width 64
    "wetok_tiny": (64, (1, 1, 2, 2), 1, 4, False),
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
    first, *_ = load_stages(name, ["data.source=anywhere"]).values()
    assert first.model == validate(Model, expected)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "wetok_tiny"])
def test_the_recipe_is_the_published_one(name):
    train = load_run_config(name, ["data.source=anywhere"]).train
    assert train.optimizer_config.betas == (0.5, 0.9)
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


@pytest.mark.parametrize("name", ["wetok_f32_768x_stage2", "wetok_tiny"])
def test_the_second_stage_trains_a_widened_decoder_alone(name):
    config = load_run_config(name, ["data.source=anywhere"])
    assert config.model.decoder.generative
    assert config.train.freeze == ["encoder", "bottleneck"]
    assert (config.start.adapt, config.start.discriminator) == ("widen", "fresh")
    first = "wetok_f32_768x_stage1" if name != "wetok_tiny" else name
    before, *_ = load_stages(first, ["data.source=anywhere"]).values()
    assert not before.model.decoder.generative
    assert (before.train.freeze, before.start.source) == ([], None)


@pytest.mark.slow
def test_both_stages_run_and_the_second_leaves_the_codes_alone(tmp_path):
    settings = ["data.source=samples:train", "data.workers=0", "train.steps=2"]
    settings += ["train.batch_size=2"]
    train_stages(load_stages("wetok_tiny", settings), tmp_path, "cpu")
    first, second = (
        VisualTokenizer.from_pretrained(tmp_path / name / "tokenizer")
        for name in ("plain", "generative")
    )
    theirs, ours = first.state_dict(), second.state_dict()
    assert all(torch.equal(ours[n], theirs[n]) for n in ours if n.startswith("encoder."))
    d = first.bottleneck.code_dim
    weight = ours["decoder.conv_in.weight"]
    assert weight.shape[1] == 2 * d
    assert weight[:, d:].any(), "noise has come to count"
    assert (weight[:, :d] - theirs["decoder.conv_in.weight"]).abs().max() < 0.01
    rows = (tmp_path / "generative" / "metrics.jsonl").read_text().splitlines()
    assert "generator" in json.loads(rows[-1])
