"""Everything that is wrong with a config is reported at once: one line each, none twice."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from vistok.component import find_problems
from vistok.train.config.files import load_run_config, load_stages
from vistok.train.config.run_config import RunConfig
from vistok.train.run.run_folder import stored_config


def problems(overrides: Sequence[str], name: str | Path = "quickstart") -> list[str]:
    with pytest.raises(ValueError, match=r".") as refused:
        load_stages(name, list(overrides))
    lines = str(refused.value).splitlines()
    assert len(lines) == len(set(lines)), "no problem is named twice"
    return lines


def test_an_unknown_key_and_what_it_was_meant_for_are_both_named():
    assert problems(["data.sorce=x"], "image_fsq_f8") == [
        "data.source is not set: set the training data, --set data.source=FOLDER",
        "data.sorce: unknown key; did you mean data.source?",
    ]


def test_one_message_names_problems_of_every_kind():
    overrides = {
        "train.lr=[": "--set train.lr: '[' is not a valid YAML value",
        "train={x: 1, x: 2}": "--set train: x is set twice",
        "data.sorce=x": "data.sorce: unknown key; did you mean data.source?",
        "model.bottleneck.levels=[1]": "model.bottleneck: levels must each be >= 2",
        "model.encoder.stages.0.resample=x": "model.encoder.stages.0.resample: input should be",
        "eval.metrics=[psrn]": "eval: metrics must be among",
        "train.losses.temporal_difference_weight=1": "temporal_difference_weight=1 needs data.fram",
        "train.warmup_step=1": "train.warmup_step: unknown key; did you mean train.warmup_steps?",
        "data.source=null": "data.source is not set",
    }
    found = problems([*overrides])
    for message in overrides.values():
        assert sum(message in line for line in found) == 1, message


def test_an_unknown_key_does_not_hide_what_comparing_its_neighbors_finds():
    assert problems(["train.discrete_share=0.3", "train.lrr=1"]) == [
        "train.lrr: unknown key; did you mean train.lr?",
        "train: discrete_share=0.3 needs path_mode=sampled, got path_mode=both",
    ]


def test_networks_and_crops_are_checked_together():
    names = ("data.size=60", "nothing to train: train.freeze", "eval.size must be at least 11")
    overrides = ["train.freeze=[encoder,decoder]", "data.size=60", "eval.size=8"]
    found = problems(overrides)
    assert all(any(line.startswith(name) for line in found) for name in names), found


def test_a_value_that_fits_none_of_its_types_is_one_problem():
    assert problems(["data.source=5"]) == [
        "data.source: input should be a valid string or a valid list, got 5"
    ]
    (line,) = problems(["data.short_side=[64, x]"])
    assert line.startswith("data.short_side.1: input should be a valid integer")


def test_problems_of_one_stage_name_it_and_those_of_all_do_not(tmp_path):
    path = tmp_path / "stages.yaml"
    path.write_text(
        "extends: quickstart\ntrain: {lrr: 1}\n"
        "stages: [{name: a}, {name: b, train: {lr: -1}}, {name: a}]\n"
    )
    assert problems([], path) == [
        "stages need unique names, got a twice",
        "train.lrr: unknown key; did you mean train.lr?",
        "stage b: train.lr: input should be greater than 0, got -1",
    ]
    path.write_text("extends: quickstart\nstages: []\n")
    assert problems([], path) == [
        "stages must be a list of mappings, each with a name for its folder"
    ]


def test_a_valid_config_has_no_problems():
    config = load_run_config("quickstart")
    assert find_problems(RunConfig, config.to_tree()) == ([], config.to_tree())


@pytest.mark.parametrize(
    ("bottleneck", "key", "hint"),
    [
        ("{kind: vq, dim: 8}", "dim", ""),
        ("{kind: vq, latent_channels: 8}", "latent_channels", ""),
        ("{kind: vq, vq: 8}", "vq", ""),
        ("{kind: vq, codebook_sise: 8}", "codebook_sise", "model.bottleneck.codebook_size"),
        ("{kind: kl, latent_chanels: 8}", "latent_chanels", "model.bottleneck.latent_channels"),
    ],
)
def test_hints_are_options_of_the_chosen_kind(bottleneck: str, key: str, hint: str):
    (line,) = problems([f"model.bottleneck={bottleneck}"])
    found = re.fullmatch(
        rf"model\.bottleneck\.{key}: unknown key(?:; did you mean ([\w.]+)\?)?", line
    )
    assert found is not None, line
    hinted = found[1] or ""
    assert hinted == hint if hint else not hinted.startswith("model.bottleneck")


@pytest.mark.parametrize(
    "setting",
    [
        "train.lr",
        "train.lr_factors.decoder",
        "train.losses.charbonnier_weight",
        "train.optimizer.eps",
        "train.optimizer.betas.1",
        "data.max_bad",
        "data.source.0.weight",
        "model.encoder.norm_eps",
        "model.bottleneck.entropy_weight",
    ],
)
@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan", "inf"])
def test_every_number_is_finite_however_deep(setting: str, number: str):
    overrides = ["data.source=[{source: samples:train, weight: 1}]",
                 "model.bottleneck={kind: lfq, bits: 4}"]  # fmt: skip
    (line,) = problems([*overrides, f"{setting}={number}"])
    assert line.startswith(f"{setting}: input should be a finite number, got ")


def test_a_part_of_a_part_is_finite_too():
    part = "{kind: vq, ema_decay: .nan}"
    (line,) = problems([f"model.bottleneck={{kind: residual, quantizer: {part}}}"])
    assert line.startswith("model.bottleneck.quantizer.ema_decay: input should be a finite number")


@pytest.mark.parametrize(
    ("setting", "value", "limit"),
    [
        ("train.seed", 2**63, 2**63),
        ("train.seed", 99999999999999999999, 2**63),
        ("train.steps", 10**23, 2**31),
        ("train.batch_size", 2**31, 2**31),
        ("data.size", 10**23, 2**31),
        ("data.frames", 2**31, 2**31),
        ("data.workers", 2**31, 2**31),
        ("eval.size", 2**31, 2**31),
    ],
)
def test_integers_fit_the_libraries_that_take_them(setting: str, value: int, limit: int):
    line = f"{setting}: input should be less than {limit}, got {value}"
    assert line in problems([f"{setting}={value}"])


def test_the_largest_seed_is_taken():
    assert load_run_config("quickstart", [f"train.seed={2**63 - 1}"]).train.seed == 2**63 - 1


def test_a_key_that_is_set_twice_is_refused_wherever_yaml_is_read(tmp_path):
    path, base = tmp_path / "run.yaml", tmp_path / "base.yaml"
    text = "data: {source: a}\ntrain:\n  lr: 1\n\ndata:\n  source: b\n  source: c\n"
    path.write_text(text)
    expected = [
        f"{path}: data is set twice, in line 1 and in line 5",
        f"{path}: data.source is set twice, in line 6 and in line 7",
    ]
    assert problems([], path) == expected
    with pytest.raises(ValueError, match=re.escape("\n".join(expected))):
        stored_config(path)
    base.write_text("model:\n  stages:\n  - {width: 1, blocks: 2, width: 3}\n")
    path.write_text("extends: base.yaml\n")
    assert problems([], path) == [
        f"{base}: model.stages.0.width is set twice, in line 3 and in line 3"
    ]
    assert problems(["train={steps: 1, losses: {a: 1, a: 2}}"])[0] == (
        "--set train: losses.a is set twice"
    )


def test_anchors_and_merges_set_no_key_twice(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "extends: quickstart\n"
        "data: &data {source: samples:train, size: 64}\n"
        "eval: {<<: {source: a, limit: 3}, source: samples:heldout}\n"
    )
    assert load_run_config(path).eval.limit == 3


def test_yaml_that_cannot_be_read_is_one_line(tmp_path):
    path = tmp_path / "run.yaml"
    for text, reason in (
        ("a: [", "line 1, column 5"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("? [a]\n: 1", "unhashable key"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
    ):
        path.write_text(text)
        (line,) = problems([], path)
        assert line.startswith(f"{path} is not valid YAML: ")
        assert reason in line
