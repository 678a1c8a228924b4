"""Configs: extends, overrides, and errors that name the thing, the value and what to do."""

import json

import pytest

from vistok.component import RENAMED, options_model, validate
from vistok.config import dump, flatten, load_config, merge, shipped_names
from vistok.tokenizers.bottlenecks.vq import VQ
from vistok.train.config.files import check_shapes, load_run_config
from vistok.train.config.run_config import RunConfig
from vistok.train.config.training import Train
from vistok.train.losses.options import Losses

SOURCE = "data.source=samples:train"


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_config_is_valid_and_builds_without_memory(name):
    config = load_run_config(name, [SOURCE])
    assert config.train.steps > 0


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_config_has_a_header(name):
    from vistok.config import SHIPPED

    text = (SHIPPED / f"{name}.yaml").read_text()
    assert "$schema=schema.json" in text
    assert all(f"# {word}" in text for word in ("command", "hardware", "expected"))


@pytest.mark.parametrize("name", shipped_names())
def test_the_resolved_config_reads_back_as_itself(name):
    config = load_run_config(name, [SOURCE])
    again = validate(RunConfig, config.to_tree())
    assert again == config
    import yaml

    assert yaml.safe_load(dump(config.to_tree())) == config.to_tree()


def test_a_mapping_of_another_kind_replaces_its_base():
    base = {"bottleneck": {"kind": "fsq", "levels": [8]}, "lr": 1}
    over = {"bottleneck": {"kind": "kl", "latent_channels": 4}}
    assert merge(base, over) == {**over, "lr": 1}
    same = merge(base, {"bottleneck": {"levels": [5]}})
    assert same["bottleneck"] == {"kind": "fsq", "levels": [5]}


def test_extends_reads_one_base_beside_the_file_or_shipped(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: quickstart\ntrain: {lr: 1e-5}\n")
    config = load_run_config(path)
    assert config.train.lr == 1e-5
    assert config.train.batch_size == load_run_config("quickstart").train.batch_size
    (tmp_path / "deeper.yaml").write_text("extends: mine.yaml\n")
    with pytest.raises(ValueError, match="extends goes one level deep"):
        load_config(tmp_path / "deeper.yaml")


def test_overrides_reach_into_lists_and_read_yaml_values():
    tree = load_config("quickstart", ["model.encoder.stages.1.blocks=7", "train.lr=1e-3"])
    assert tree["model"]["encoder"]["stages"][1]["blocks"] == 7
    assert validate(RunConfig, tree).train.lr == 1e-3
    assert load_run_config("quickstart", ["train.mixed_precision=no"]).train.mixed_precision == "no"


def test_flatten_gives_every_leaf_its_path():
    assert flatten({"a": {"b": [1, {"c": 2}]}}) == {"a.b.0": 1, "a.b.1.c": 2}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.lrr=1", "train.lrr: unknown key; did you mean train.lr?"),
        ("data.sizes=1", "data.sizes: unknown key; did you mean data.size"),
        ("model.bottleneck.level=[3]", "did you mean model.bottleneck.levels"),
        ("model.encoder.stages.0.widht=3", "did you mean model.encoder.stages.width"),
        (
            "model.bottleneck={kind: fsqq}",
            "must be one of fsq, .*plain, got 'fsqq'; did you mean",
        ),
        ("model.bottleneck={levels: [3]}", "model.bottleneck.kind: required"),
        ("train.steps=many", "train.steps: .*valid integer.*got 'many'"),
        ("train.steps=0", "train.steps: .*greater than 0, got 0"),
        ("model.bottleneck.levels=[1]", "levels must each be >= 2"),
        ("data.size=60", "data.size=60.*nearest legal: 56 or 64"),
        ("data.source=null", "data.source is not set"),
        ("train.losses.adversarial_weight=-1", "greater than or equal to 0, got -1"),
        (
            "train.adversarial={r1_weight: 1, discriminator: {kind: patchgan, norm: sync_batch}}",
            "train.adversarial: r1_weight=1 needs second derivatives",
        ),
        ("train.optimizer={kind: muons}", "must be one of adam, adamw, muon, got 'muons'"),
        ("train.optimizer.momentum=0.9", "train.optimizer.momentum: unknown key"),
        ("model.encoder.stages.9.width=3", "the list has entries 0 to 1, got '9'"),
        ("train.lr.peak=3", "train.lr.* has no parts to set"),
        ("train.lr", "takes key.path=value, got 'train.lr'"),
        ("train.lr=[", "no valid YAML value"),
    ],
)
def test_a_wrong_setting_is_one_clear_message(override, message):
    with pytest.raises(ValueError, match=message):
        load_run_config("quickstart", [override])


def test_an_unknown_config_lists_the_shipped_ones():
    with pytest.raises(FileNotFoundError, match=r"quickstart.*did you mean quickstart"):
        load_config("quikstart")


def test_broken_yaml_is_refused(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("a: [")
    with pytest.raises(ValueError, match="no valid YAML"):
        load_config(path)
    path.write_text("- 1")
    with pytest.raises(ValueError, match="must hold a mapping of settings, got list"):
        load_config(path)


def test_clips_that_do_not_fit_the_model_are_refused_before_the_start():
    config = load_run_config("video_fsq_4x8x8", [SOURCE])
    with pytest.raises(ValueError, match=r"T = 16 \(nearest legal: 13 or 17\)"):
        load_run_config("video_fsq_4x8x8", [SOURCE, "data.frames=16"])
    check_shapes(config)


def test_crops_too_small_for_the_discriminator_are_refused_before_the_start():
    small = ["data.size=16", "data.short_side=null", "eval.source=null"]
    load_run_config("quickstart", small)
    with pytest.raises(ValueError, match="at least 24 x 24 pixels, got 16 x 16"):
        load_run_config("quickstart", [*small, "train.losses.adversarial_weight=0.1"])


def test_the_schema_for_editors_knows_every_section():
    from vistok.config import SHIPPED

    schema = json.loads((SHIPPED / "schema.json").read_text())
    assert {"model", "data", "train", "eval", "extends"} <= schema["properties"].keys()


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_renamed_setting_is_named_by_its_new_name(old: str, new: str):
    for model, where in ((options_model(VQ, "vq"), "bottleneck"), (Losses, ""), (Train, "train")):
        if new in model.model_fields:
            with pytest.raises(ValueError, match=rf"\b{old}: is now called {new}$"):
                validate(model, {old: 1}, where)
            return
    raise AssertionError(f"{new} is an option of nothing")
