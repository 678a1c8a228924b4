"""Stages: each starts where the last one ended, and changes only what it declares."""

from pathlib import Path

import pytest
import torch
import yaml

from runs import last_state
from tiny import tiny_image_configs
from vistok import VisualTokenizer
from vistok.train.config.files import RUN_FOLDERS, dump_stages, load_run_config, load_stages
from vistok.train.loop import train
from vistok.train.run.run_folder import RunFolder
from vistok.train.stages import train_stages


def write_config(path: Path, **extra) -> Path:
    encoder, decoder = tiny_image_configs()
    tree = {
        "model": {"encoder": encoder, "bottleneck": {"kind": "fsq"}, "decoder": decoder},
        "data": {"source": "samples:train", "size": 32, "workers": 0},
        "train": {"steps": 2, "batch_size": 2, "lr": 1e-3, "schedule": "constant"},
        **extra,
    }
    path.write_text(yaml.safe_dump(tree))
    return path


TWO_STAGES = [
    {"name": "whole"},
    {
        "name": "decoder",
        "start": {"source": "previous"},
        "train": {"steps": 3, "freeze": ["encoder", "bottleneck"], "mixed_precision": "bf16"},
    },
]


def test_a_stage_starts_from_the_stage_before_and_frozen_parts_keep_their_weights(tmp_path):
    stages = load_stages(write_config(tmp_path / "config.yaml", stages=TWO_STAGES))
    result = train_stages(stages, tmp_path / "run", "cpu")
    assert (result.step, result.tokenizer) == (3, tmp_path / "run" / "tokenizer")
    first, second = last_state(tmp_path / "run" / "whole"), last_state(tmp_path / "run" / "decoder")
    for name, before in first["ema"].items():
        unchanged = torch.equal(before, second["model"][name])
        assert unchanged == name.startswith(("encoder", "bottleneck")), name
    published = VisualTokenizer.from_pretrained(tmp_path / "run" / "tokenizer").state_dict()
    assert all(torch.equal(published[name], second["ema"][name]) for name in published)


def test_stages_started_again_do_only_what_is_left(tmp_path):
    stages = load_stages(write_config(tmp_path / "config.yaml", stages=TWO_STAGES))
    train(stages["whole"], tmp_path / "run" / "whole", "cpu", show_progress=False)
    before = last_state(tmp_path / "run" / "whole")
    train_stages(stages, tmp_path / "run", "cpu")
    again = train_stages(stages, tmp_path / "run", "cpu")
    assert again.step == 3
    after = last_state(tmp_path / "run" / "whole")
    assert all(torch.equal(before["model"][n], after["model"][n]) for n in before["model"])


def test_a_run_starts_from_a_saved_tokenizer(tmp_path):
    source = train(load_run_config(write_config(tmp_path / "a.yaml")), tmp_path / "a", "cpu", False)
    config = load_run_config(
        tmp_path / "a.yaml", [f"start.source={source.tokenizer}", "train.lr=1e-30"]
    )
    train(config, tmp_path / "b", "cpu", False)
    saved = VisualTokenizer.from_pretrained(source.tokenizer).state_dict()
    trained = last_state(tmp_path / "b")["model"]
    assert all(torch.equal(saved[name], trained[name]) for name in saved)


def test_raw_weights_are_those_that_were_trained(tmp_path):
    config = load_run_config(write_config(tmp_path / "a.yaml"), ["train.ema_decay=0.999"])
    train(config, tmp_path / "a", "cpu", False)
    overrides = [f"start.source={tmp_path / 'a'}", "start.weights=raw", "train.lr=1e-30"]
    train(load_run_config(tmp_path / "a.yaml", overrides), tmp_path / "b", "cpu", False)
    raw, started = last_state(tmp_path / "a")["model"], last_state(tmp_path / "b")["model"]
    assert all(torch.equal(raw[name], started[name]) for name in raw)
    assert not all(torch.equal(raw[n], last_state(tmp_path / "a")["ema"][n]) for n in raw)


def test_another_architecture_is_refused_unless_its_difference_is_declared(tmp_path):
    source = train(load_run_config(write_config(tmp_path / "a.yaml")), tmp_path / "a", "cpu", False)
    wider = load_run_config(
        tmp_path / "a.yaml",
        [f"start.source={source.tokenizer}", "model.bottleneck.levels=[8, 8, 8]"],
    )
    with pytest.raises(ValueError, match="conv_out"):
        train(wider, tmp_path / "b", "cpu", False)


@pytest.mark.slow
def test_a_discriminator_is_carried_over_or_begins_anew(tmp_path):
    """LeCam's averages with it: the second stage has no weight for them and leaves them alone."""
    losses = {"adversarial_weight": 0.1}
    first = {"name": "first", "train": {"losses": losses, "adversarial": {"lecam_weight": 0.05}}}
    for how in ("carry", "fresh"):
        second = {
            "name": "second",
            "start": {"source": "previous", "discriminator": how},
            "train": {"losses": losses, "adversarial": {"lecam_weight": 0}, "lr": 1e-30},
        }
        path = write_config(tmp_path / f"{how}.yaml", stages=[first, second])
        train_stages(load_stages(path), tmp_path / how, "cpu")
        before, after = (last_state(tmp_path / how / name) for name in ("first", "second"))
        ours, theirs = before["discriminator"], after["discriminator"]
        weight = next(name for name in ours if name.endswith("weight"))
        assert torch.equal(ours[weight], theirs[weight]) == (how == "carry")
        assert torch.equal(before["lecam"]["real"], after["lecam"]["real"]) == (how == "carry")


def test_a_discriminator_is_carried_only_where_it_is_used_and_fits(tmp_path):
    path = write_config(tmp_path / "a.yaml")
    adversarial = ["train.losses.adversarial_weight=0.1"]
    train(load_run_config(path, adversarial), tmp_path / "a", "cpu", False)
    carry = [f"start.source={tmp_path / 'a'}", "start.discriminator=carry"]
    with pytest.raises(ValueError, match=r"carry has no effect with .*adversarial_weight=0"):
        train(load_run_config(path, carry), tmp_path / "b", "cpu", False)
    discriminator = "{kind: patchgan, base_channels: 8}"
    wider = [*adversarial, f"train.adversarial.discriminator={discriminator}"]
    with pytest.raises(ValueError, match=r"start.source is another network than train.adversarial"):
        train(load_run_config(path, [*wider, *carry]), tmp_path / "c", "cpu", False)


def test_without_checkpoints_a_run_starts_from_the_tokenizer_inside(tmp_path):
    """The top folder of stages has none, and others may have been deleted."""
    path = write_config(tmp_path / "a.yaml", stages=TWO_STAGES)
    train_stages(load_stages(path), tmp_path / "a", "cpu")
    start = [f"start.source={tmp_path / 'a'}", "train.lr=1e-30"]
    plain = write_config(tmp_path / "b.yaml")
    train(load_run_config(plain, start), tmp_path / "b", "cpu", False)
    saved = VisualTokenizer.from_pretrained(tmp_path / "a" / "tokenizer").state_dict()
    trained = last_state(tmp_path / "b")["model"]
    assert all(torch.equal(saved[name], trained[name]) for name in saved)
    with pytest.raises(ValueError, match=r"weights=raw .* a finished tokenizer has neither"):
        train(load_run_config(plain, [*start, "start.weights=raw"]), tmp_path / "c", "cpu", False)


def test_what_cannot_be_carried_over_is_said(tmp_path):
    source = train(load_run_config(write_config(tmp_path / "a.yaml")), tmp_path / "a", "cpu", False)
    for overrides, message in (
        ([f"start.source={source.tokenizer}", "start.weights=raw"], "need one"),
        (
            [
                f"start.source={tmp_path / 'a'}",
                "start.discriminator=carry",
                "train.losses.adversarial_weight=0.1",
            ],
            "has no discriminator",
        ),
        (["start.source=previous"], "needs a stage before"),
    ):
        with pytest.raises(ValueError, match=message):
            train(load_run_config(tmp_path / "a.yaml", overrides), tmp_path / "b", "cpu", False)


def test_overrides_hold_for_every_stage_or_for_the_one_they_name(tmp_path):
    path = write_config(tmp_path / "config.yaml", stages=TWO_STAGES)
    stages = load_stages(path, ["train.batch_size=7", "stages.1.train.steps=9"])
    assert [config.train.batch_size for config in stages.values()] == [7, 7]
    assert [config.train.steps for config in stages.values()] == [2, 9]
    assert load_run_config(path).train.freeze == ["encoder", "bottleneck"], "the last stage's"
    assert dump_stages(stages).count("# stage: ") == 2


def test_an_override_that_names_a_stage_beats_one_for_all_in_either_order(tmp_path):
    path = write_config(tmp_path / "config.yaml", stages=TWO_STAGES)
    overrides = ["stages.0.train.steps=10", "train.steps=5"]
    for order in (overrides, overrides[::-1]):
        stages = load_stages(path, order)
        assert [config.train.steps for config in stages.values()] == [10, 5]


def test_an_override_of_no_stage_or_of_a_whole_one_is_refused(tmp_path):
    path = write_config(tmp_path / "config.yaml", stages=TWO_STAGES)
    with pytest.raises(ValueError, match="entries 0 to 1, got '2'"):
        load_stages(path, ["stages.2.train.steps=10"])
    with pytest.raises(ValueError, match=r"takes stages.NUMBER.key.path=value, got 'stages.0=5'"):
        load_stages(path, ["stages.0=5"])


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"train": {}}], "each with a name"),
        ([{"name": "a/b"}], "each with a name"),
        ([{"name": "a"}, {"name": "a"}], "got a twice"),
        ("two", "must be a list"),
    ],
)
def test_bad_stages_are_named(tmp_path, stages, message):
    with pytest.raises(ValueError, match=message):
        load_stages(write_config(tmp_path / "config.yaml", stages=stages))


def test_settings_of_a_start_without_a_source_are_refused(tmp_path):
    path = write_config(tmp_path / "config.yaml", start={"adapt": "widen"})
    with pytest.raises(ValueError, match="adapt without a source"):
        load_run_config(path)


@pytest.mark.parametrize("name", ["best", "checkpoints", "samples", "tensorboard", "Tokenizer"])
def test_a_stage_cannot_have_the_name_of_a_folder_of_the_run(tmp_path, name):
    path = write_config(tmp_path / "config.yaml", stages=[{"name": "first"}, {"name": name}])
    with pytest.raises(ValueError, match=f"a stage cannot be called {name}, which is a folder"):
        load_stages(path)


def test_every_folder_that_a_run_writes_is_refused_as_a_stage(tmp_path):
    folder = RunFolder(tmp_path)
    paths = {path.name for path in vars(folder).values() if not path.suffix and path != tmp_path}
    assert paths | {"tensorboard"} == set(RUN_FOLDERS)
