"""Configs: extends, overrides, and errors that name the thing, the value and what to do."""

import json
import re

import pytest
import torch
from torch import Tensor

from vistok import FSQ, VQ, Quantized, Quantizer
from vistok.component import validate
from vistok.component_options import options_model
from vistok.config import dump, flatten, load_config, merge, shipped_names
from vistok.option_errors import RENAMED
from vistok.tokenizers.bottlenecks.bottleneck import Continuous
from vistok.tokenizers.bottlenecks.catalog import BOTTLENECKS
from vistok.train.config.checks import network_problems
from vistok.train.config.files import json_schema, load_run_config
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
        ("model.bottleneck.levels=[1]", r"^model\.bottleneck: levels must each be >= 2"),
        ("model.bottleneck=fsq", "^model.bottleneck: must be a mapping with a kind, got 'fsq'$"),
        ("data.size=60", "data.size=60.*nearest legal: 56 or 64"),
        ("data.source=null", "data.source is not set"),
        ("train.losses.adversarial_weight=-1", "greater than or equal to 0, got -1"),
        (
            "train.adversarial={r1_weight: 1, discriminator: {kind: patchgan, norm: sync_batch}}",
            "train.adversarial: r1_weight=1 needs the gradient of each sample by itself",
        ),
        ("train.optimizer={kind: muons}", "must be one of adam, adamw, muon, got 'muons'"),
        ("train.optimizer.momentum=0.9", "train.optimizer.momentum: unknown key"),
        ("model.encoder.stages.9.width=3", "the list has entries 0 to 1, got '9'"),
        ("train.lr.peak=3", "train.lr.* has no parts to set"),
        ("train.lr", "takes key.path=value, got 'train.lr'"),
        ("train.lr=[", "not a valid YAML value"),
    ],
)
def test_a_wrong_setting_is_one_clear_message(override, message):
    with pytest.raises(ValueError, match=message):
        load_run_config("quickstart", [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "quantizer.quantizer={kind: fsq, levelz: [3]}",
            "model.bottleneck.quantizer.quantizer.levelz: unknown key; "
            "did you mean model.bottleneck.quantizer.quantizer.levels?",
        ),
        (
            "quantizer.quantizer={kind: fsq, levels: [3, 1]}",
            "model.bottleneck.quantizer.quantizer: "
            "levels must each be >= 2 and at least one, got (3, 1)",
        ),
        (
            "continuous={kind: fsq}",
            "model.bottleneck.continuous.kind: must be one of kl, fixed_sigma, plain, got 'fsq'",
        ),
        (
            "continuous.latent_chanels=4",
            "model.bottleneck.continuous.latent_chanels: unknown key; "
            "did you mean model.bottleneck.continuous.latent_channels?",
        ),
    ],
)
def test_an_error_inside_a_nested_bottleneck_names_the_whole_path(override: str, message: str):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_run_config("image_dual_f8", [SOURCE, f"model.bottleneck.{override}"])


class Halved(Quantizer):
    """A quantizer that is no part of the package.

    Args:
        inner: quantizes half of the vector.
    """

    def __init__(self, inner: Quantizer) -> None:
        super().__init__()
        self.inner = inner
        self.dim = self.code_dim = 2 * inner.dim
        self.group_sizes = inner.group_sizes

    def _quantize(self, x: Tensor) -> Quantized:
        half = self.inner(x[..., : self.inner.dim])
        codes = torch.cat([half.codes, torch.zeros_like(half.codes)], dim=-1)
        return Quantized(codes, half.indices, half.loss, half.terms)

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        codes = self.inner.indices_to_codes(indices)
        return torch.cat([codes, torch.zeros_like(codes)], dim=-1)


def test_a_kind_may_join_its_family_after_the_package_was_imported(monkeypatch):
    assert "HalvedOptions" not in json_schema()["$defs"]
    monkeypatch.setitem(BOTTLENECKS, "halved", Halved)
    fsq = "{kind: fsq, levels: [3, 3]}"
    overrides = [SOURCE, f"model.bottleneck={{kind: halved, inner: {fsq}}}"]
    tokenizer = load_run_config("quickstart", overrides).build_tokenizer()
    assert isinstance(tokenizer.quantizer, Halved)
    assert isinstance(tokenizer.quantizer.inner, FSQ)
    # and it may be a part of others, those of the package included
    nested = "{kind: multi_token, quantizer: {kind: halved, inner: {kind: fsq, levelz: [3]}}}"
    with pytest.raises(ValueError, match=r"^model\.bottleneck\.quantizer\.inner\.levelz: unknown"):
        load_run_config("quickstart", [SOURCE, f"model.bottleneck={nested}"])
    assert "HalvedOptions" in json_schema()["$defs"]
    monkeypatch.delitem(BOTTLENECKS, "halved")
    with pytest.raises(
        ValueError, match=r"^model\.bottleneck\.kind: must be one of fsq, .*'halved'"
    ):
        load_run_config("quickstart", overrides)


def kinds_of(choice: dict, schema: dict) -> dict[str, dict]:
    """The definitions that a property of the JSON schema offers, by their kind."""
    found = {}
    for option in choice["oneOf"]:
        definition = schema["$defs"][option["$ref"].removeprefix("#/$defs/")]
        found[definition["properties"]["kind"]["const"]] = definition
    assert choice["discriminator"]["propertyName"] == "kind"
    assert found.keys() == choice["discriminator"]["mapping"].keys()
    return found


def test_the_schema_for_editors_describes_bottlenecks_inside_bottlenecks():
    schema = json_schema()
    bottlenecks = kinds_of(schema["$defs"]["Model"]["properties"]["bottleneck"], schema)
    assert bottlenecks.keys() == BOTTLENECKS.keys()
    continuous = {kind for kind, cls in BOTTLENECKS.items() if issubclass(cls, Continuous)}
    discrete = BOTTLENECKS.keys() - continuous
    choices = 0
    for outer in bottlenecks.values():
        for name, choice in outer["properties"].items():
            if name in ("quantizer", "continuous"):
                offered = kinds_of(choice, schema)
                assert offered.keys() == (discrete if name == "quantizer" else continuous)
                assert all(inner["additionalProperties"] is False for inner in offered.values())
                # one definition per kind serves every depth
                assert all(bottlenecks[kind] is inner for kind, inner in offered.items())
                choices += 1
    assert choices == 4, "of residual and multi_token, and the two of dual_path"


def test_an_unknown_config_lists_the_shipped_ones():
    with pytest.raises(FileNotFoundError, match=r"quickstart.*did you mean quickstart"):
        load_config("quikstart")


def test_broken_yaml_is_refused(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("a: [")
    with pytest.raises(ValueError, match="not valid YAML"):
        load_config(path)
    path.write_text("- 1")
    with pytest.raises(ValueError, match="must hold a mapping of settings, got list"):
        load_config(path)


def test_clips_that_do_not_fit_the_model_are_refused_before_the_start():
    config = load_run_config("video_fsq_4x8x8", [SOURCE])
    with pytest.raises(ValueError, match=r"T = 16 \(nearest legal: 13 or 17\)"):
        load_run_config("video_fsq_4x8x8", [SOURCE, "data.frames=16"])
    assert not list(network_problems(config, RunConfig.model_fields))


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
