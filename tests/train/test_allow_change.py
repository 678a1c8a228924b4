"""Resuming with changed settings: as if the run had been switched at that step, and noted."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from runs import assert_same_state, last_state, tiny_run
from vistok.component import validate
from vistok.data.sources.bundled import SAMPLES
from vistok.train import steps
from vistok.train.config.files import load_run_config, load_stages
from vistok.train.config.run_config import RunConfig
from vistok.train.loop import train
from vistok.train.monitor.gan_monitor import GANMonitor
from vistok.train.monitor.metrics_log import read_metrics
from vistok.train.run.run_folder import RunFolder
from vistok.train.stages import train_stages

SWITCH = 2
NETWORK = {"kind": "cnn", "base_channels": 8, "channel_multipliers": [1], "num_res_blocks": 0}
DISCRIMINATOR = {"kind": "patchgan", "base_channels": 4, "num_layers": 1}


def run_config(steps: int = 4, source: str = "samples:train", **options) -> RunConfig:
    """A run of constant learning rate, so that its length changes no step."""
    rare = {"sample_every_steps": 100, "trackers": [], "schedule": "constant"}
    config = tiny_run(steps=steps, **{**rare, "optimizer": {"kind": "adamw"}, **options})
    tree = config.to_tree()
    tree["data"]["source"], tree["eval"] = source, {}
    return validate(RunConfig, tree)


def resume(folder: Path, config: RunConfig, *keys: str, **options) -> None:
    train(config, folder, "cpu", False, allow_change=keys, **options)


@pytest.fixture(scope="module")
def half_way(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("allow") / "run"
    train(run_config(SWITCH), folder, "cpu", False)
    return folder


@pytest.fixture
def run(half_way, tmp_path) -> Path:
    return Path(shutil.copytree(half_way, tmp_path / "run"))


def switch_groups(monkeypatch, change) -> None:
    """Change the optimizer's groups by hand after step SWITCH of a run."""
    real, calls = steps.set_learning_rate, []

    def switched(optimizer, lr):
        calls.append(lr)
        if len(calls) == SWITCH + 1:
            for group in optimizer.param_groups:
                change(group)
        factor = 0.01 if change is LEARNING_RATE and len(calls) > SWITCH else 1.0
        real(optimizer, lr * factor)

    monkeypatch.setattr(steps, "set_learning_rate", switched)


def LEARNING_RATE(group) -> None:  # noqa: N802 - `switched` multiplies by it
    pass


def set_betas(group) -> None:
    group["betas"], group["eps"] = (0.5, 0.6), 1e-3


def set_weight_decay(group) -> None:
    if group["weight_decay"]:
        group["weight_decay"] = 0.5


SWITCHES = {
    "lr": ({}, {"lr": 1e-5}, ["train.lr"], LEARNING_RATE),
    "betas": (
        {},
        {"optimizer": {"kind": "adamw", "betas": [0.5, 0.6], "eps": 1e-3}},
        ["train.optimizer"],
        set_betas,
    ),
    "weight decay": (
        {"optimizer": {"kind": "adamw", "weight_decay": 0.1}},
        {"optimizer": {"kind": "adamw", "weight_decay": 0.5}},
        ["train.optimizer.weight_decay"],
        set_weight_decay,
    ),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_a_resumed_run_equals_one_switched_at_that_step(name, tmp_path, monkeypatch):
    before, after, keys, change = SWITCHES[name]
    resumed, switched = tmp_path / "resumed", tmp_path / "switched"
    train(run_config(SWITCH, **before), resumed, "cpu", False)
    resume(resumed, run_config(**after), *keys)
    switch_groups(monkeypatch, change)
    train(run_config(**before), switched, "cpu", False)
    ours, theirs = last_state(resumed), last_state(switched)
    for state in (ours, theirs):  # the lr of the last step is a product here
        for group in state["optimizer"]["param_groups"]:
            assert group.pop("lr") == pytest.approx(1e-5 if name == "lr" else 1e-3)
            group["betas"] = tuple(group["betas"])
    assert ours["optimizer"]["param_groups"] == theirs["optimizer"]["param_groups"]
    if name == "lr":
        expected = [5e-4, 1e-3, 1e-5, 1e-5]  # two steps of warm-up
        rows = read_metrics(resumed / "metrics.jsonl")
        assert [row["lr"] for row in rows] == pytest.approx(expected)
    for part in ("model", "ema"):
        assert all(torch.equal(ours[part][key], theirs[part][key]) for key in ours[part])
    unchanged = tmp_path / "unchanged"
    monkeypatch.undo()
    train(run_config(**before), unchanged, "cpu", False)
    other = last_state(unchanged)["model"]
    assert not all(torch.equal(ours["model"][key], other[key]) for key in other), "it had an effect"


def test_other_groups_of_weights_keep_their_moments(tmp_path, monkeypatch):
    """Factors on learning rates split the groups of weights anew."""
    resumed, switched = tmp_path / "resumed", tmp_path / "switched"
    factors = {"decoder": 0.25}
    train(run_config(SWITCH), resumed, "cpu", False)
    resume(resumed, run_config(lr_factors=factors), "train.lr_factors")
    calls = []

    def late_factors(optimizer, lr):
        calls.append(lr)
        for group in optimizer.param_groups:
            group["lr"] = lr * (group["lr_factor"] if len(calls) > SWITCH else 1.0)

    monkeypatch.setattr(steps, "set_learning_rate", late_factors)
    train(run_config(lr_factors=factors), switched, "cpu", False)
    assert_same_state(resumed, switched)


def test_parts_may_be_frozen_and_released(run):
    frozen = run_config(freeze=["encoder"])
    before = last_state(run)["model"]
    resume(run, frozen, "train.freeze")
    after = last_state(run)["model"]
    for name, weight in before.items():
        assert torch.equal(weight, after[name]) == name.startswith("encoder"), name
    resume(run, run_config(6), "train.freeze")
    moved = last_state(run)["model"]
    assert not any(
        torch.equal(moved[name], after[name]) for name in after if name.startswith("encoder")
    )


def test_sources_may_move_and_batches_be_cut_in_pieces(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    shutil.copytree(SAMPLES / "images", a)
    options = {"bottleneck": {"kind": "plain"}, "batch_size": 2}
    moved, whole = tmp_path / "moved", tmp_path / "whole"
    train(run_config(SWITCH, str(a), **options), moved, "cpu", False)
    train(run_config(source=str(a), **options), whole, "cpu", False)
    a.rename(b)
    shutil.copytree(moved, tmp_path / "cut")
    resume(moved, run_config(source=str(b), **options), "data.source")
    assert_same_state(moved, whole)
    smaller = {**options, "batch_size": 1, "accumulation_steps": 2}
    keys = ("data.source", "train.batch_size", "train.accumulation_steps")
    resume(tmp_path / "cut", run_config(source=str(b), **smaller), *keys)
    ours, theirs = last_state(tmp_path / "cut")["model"], last_state(whole)["model"]
    for name, weight in ours.items():
        # Adam divides by the root of a gradient's square: sums in another order count there.
        torch.testing.assert_close(weight, theirs[name], rtol=1e-3, atol=2e-4, msg=name)


def test_a_change_is_noted_and_the_config_stays_readable(run, tmp_path, caplog):
    changed = run_config(lr=1e-5, grad_clip_norm=None)
    resume(run, changed, "train.lr", "train.grad_clip_norm")
    assert "train.lr: 0.001 -> 1e-05" in caplog.messages
    lines = (run / "config.yaml").read_text().splitlines()
    notes = [
        {"step": 2, "key": "train.grad_clip_norm", "before": 1.0, "after": None},
        {"step": 2, "key": "train.lr", "before": 0.001, "after": 1e-05},
        {"step": 2, "key": "train.steps", "before": 2, "after": 4},
    ]
    assert [json.loads(line[2:]) for line in lines[1:4]] == notes
    assert load_run_config(run / "config.yaml") == changed
    rows = read_metrics(run / "metrics.jsonl")
    assert [row["changes"] for row in rows] == [None, None, notes, None]
    assert len({tuple(row) for row in rows}) == 1, "the keys never change"
    GANMonitor(1, rows)
    start = run_config(2).to_tree() | {"start": {"source": str(run), "weights": "raw"}}
    train(validate(RunConfig, start), tmp_path / "next", "cpu", False)
    resume(run, run_config(5, lr=1e-5, grad_clip_norm=None))
    assert read_metrics(run / "metrics.jsonl")[2]["changes"] == notes, "no option is needed now"
    steps = {"step": 4, "key": "train.steps", "before": 4, "after": 5}
    assert [note.step for note in RunFolder(run).changes()] == [2, 2, 2, 4]
    assert read_metrics(run / "metrics.jsonl")[4]["changes"] == [steps]


def test_a_kill_before_the_first_step_loses_no_note(run, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_args, **_more):
        raise Killed

    monkeypatch.setattr(steps, "generator_objective", killed)
    with pytest.raises(Killed):
        resume(run, run_config(lr=1e-5), "train.lr")
    monkeypatch.undo()
    resume(run, run_config(lr=1e-5), "train.lr")  # the same command again
    changed = [note.key for note in RunFolder(run).changes()]
    assert changed == ["train.lr", "train.steps"]
    rows = read_metrics(run / "metrics.jsonl")
    assert [bool(row["changes"]) for row in rows] == [False, False, True, False]
    assert [row["lr"] for row in rows] == [5e-4, 1e-3, 1e-5, 1e-5]


def test_from_an_earlier_checkpoint_a_change_applies_from_there(run):
    resume(run, run_config(4, keep_last=9))
    resume(run, run_config(6, keep_last=9, lr=1e-5), "train.lr")
    resume(run, run_config(6, lr=1e-5), from_checkpoint=2)
    notes = [(note.step, note.key) for note in RunFolder(run).changes()]
    assert notes == [(2, "train.steps"), (2, "train.lr"), (2, "train.steps")]
    rows = read_metrics(run / "metrics.jsonl")
    assert [row["lr"] for row in rows[2:]] == [1e-5] * 4
    assert [bool(row["changes"]) for row in rows] == [False, False, True, False, False, False]


REFUSED = {
    "without the option": (
        {"lr": 1e-5, "losses": {"l1_weight": 2}},
        [],
        r"train.lr: 0.001 -> 1e-05\nchoose another .* to resume it\n"
        r"to resume it with other settings, add --allow-change train.losses.l1_weight "
        r"--allow-change train.lr$",
    ),
    "another key": ({"lr": 1e-5}, ["train.losses"], r"add --allow-change train.lr$"),
    "unchanged": ({}, ["train.lr"], r"^--allow-change train.lr has the same value as before"),
    "unknown": ({}, ["train.lrs"], r"^--allow-change train.lrs is not .*; did you mean train.lr"),
    "of a stage": ({}, ["stages.1.train.lr"], r"means the stage reached; pass train.lr$"),
    "architecture": (
        {"bottleneck": {"kind": "fsq", "levels": [8, 8]}},
        ["model"],
        r"model.bottleneck.levels.\d: .*it cannot change: .*architecture(.|\n)*start.source=",
    ),
    "seed": ({"seed": 1}, ["train.seed"], r"train.seed: 0 -> 1 \(it cannot change: the order of"),
    "optimizer": (
        {"optimizer": {"kind": "adam"}},
        ["train.optimizer.kind"],
        r"train.optimizer.kind: 'adamw' -> 'adam' \(it cannot change: the checkpoint holds the st",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_resumed_is_refused_and_changes_nothing(name, run):
    options, keys, message = REFUSED[name]
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(ValueError, match=message):
        resume(run, run_config(**options), *keys)
    assert (run / "config.yaml").read_bytes() == before


def test_the_start_of_a_run_is_over(run):
    tree = run_config().to_tree() | {"start": {"source": str(run)}}
    with pytest.raises(ValueError, match=r"start.source: None -> .*it was used before the first"):
        resume(run, validate(RunConfig, tree), "start")


def test_a_new_or_finished_run_has_nothing_to_change(run, tmp_path):
    with pytest.raises(ValueError, match="has no checkpoint yet, so every setting may change"):
        resume(tmp_path / "new", run_config(lr=1e-5), "train.lr")
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match=r"finished after step 2, .* raise train.steps as well"):
        resume(run, run_config(2, lr=1e-5), "train.lr")
    resume(run, run_config(2, log_every_steps=7))  # free settings need no option
    resume(run, run_config(2, log_every_steps=8), "train.log_every_steps")


def test_weights_of_the_bottleneck_s_losses_may_change(tmp_path):
    kl = {"kind": "kl", "latent_channels": 4}
    train(run_config(SWITCH, bottleneck=kl), tmp_path / "run", "cpu", False)
    heavier = run_config(bottleneck={**kl, "kl_weight": 1.0})
    resume(tmp_path / "run", heavier, "model.bottleneck.kl_weight")


def test_a_discriminator_starts_untrained_where_the_checkpoint_holds_none(run, tmp_path, caplog):
    playing = {
        "losses": {"adversarial_weight": 0.1},
        "adversarial": {"discriminator": DISCRIMINATOR},
    }
    keys = ("train.losses.adversarial_weight", "train.adversarial")
    twice = shutil.copytree(run, tmp_path / "twice")
    resume(run, run_config(6, **playing), *keys)
    assert "the checkpoint holds no discriminator: an untrained one starts here" in caplog.messages
    resume(twice, run_config(3, **playing), *keys)
    resume(twice, run_config(6, **playing))
    assert_same_state(run, twice)
    assert last_state(run)["discriminator"] is not None
    other = {**playing, "adversarial": {"discriminator": {**DISCRIMINATOR, "num_layers": 2}}}
    with pytest.raises(ValueError, match=r"num_layers: 1 -> 2 .*holds weights of this network"):
        resume(run, run_config(8, **other), "train.adversarial.discriminator.num_layers")
    own = {"discriminator": DISCRIMINATOR, "optimizer": {"kind": "adam"}}
    with pytest.raises(ValueError, match=r"optimizer.kind: None -> 'adam' .*this kind of optim"):
        resume(run, run_config(8, **{**playing, "adversarial": own}), "train.adversarial.optimizer")
    own["optimizer"] = {"kind": "adamw", "betas": [0.5, 0.6]}
    own_optimizer = run_config(7, **{**playing, "adversarial": own})
    resume(run, own_optimizer, "train.adversarial.optimizer")
    (group, *_) = last_state(run)["discriminator_optimizer"]["param_groups"]
    assert tuple(group["betas"]) == (0.5, 0.6)
    resume(run, run_config(8, keep_last=9), *keys)
    assert last_state(run)["discriminator"] is None, "a weight of 0 drops it"
    with pytest.raises(ValueError, match=r"num_layers: 1 -> 2 .*holds weights of this network"):
        resume(run, run_config(8, **other), *keys, from_checkpoint=7)


def test_a_learned_log_variance_may_start_late(run):
    losses = {"learn_logvar": True, "logvar_init": 0.5}
    resume(run, run_config(losses=losses), "train.losses")
    assert last_state(run)["likelihood"]["logvar"] != 0
    losses["logvar_init"] = 0.7
    with pytest.raises(ValueError, match=r"logvar_init: 0.5 -> 0.7 \(it cannot change: it was"):
        resume(run, run_config(6, losses=losses), "train.losses.logvar_init")


# ---- stages --------------------------------------------------------------------------------------


@pytest.fixture
def stages(tmp_path) -> Path:
    tree = run_config(2).to_tree()
    second = {"start": {"source": "previous"}, "train": {"steps": 4}}
    tree["stages"] = [{"name": "a"}, {"name": "b", **second}]
    (tmp_path / "stages.yaml").write_text(yaml.safe_dump(tree))
    return tmp_path / "stages.yaml"


def test_in_stages_the_one_that_is_reached_changes(stages, tmp_path):
    output = tmp_path / "run"
    train_stages(load_stages(stages), output, "cpu")
    before = (output / "a" / "config.yaml").read_text()
    longer = load_stages(stages, ["stages.1.train.steps=6", "train.lr=1e-5"])
    with pytest.raises(ValueError, match=r"add --allow-change train.lr"):
        train_stages(longer, output, "cpu")
    result = train_stages(longer, output, "cpu", allow_change=["train.lr"])
    assert result.step == 6
    assert (output / "a" / "config.yaml").read_text() == before, "a finished stage keeps its own"
    assert [note.key for note in RunFolder(output / "b").changes()] == ["train.lr", "train.steps"]
    with pytest.raises(ValueError, match=r"--allow-change train.grad_clip_norm has the same value"):
        train_stages(longer, output, "cpu", allow_change=["train.lr", "train.grad_clip_norm"])


def test_a_stage_that_has_not_begun_takes_every_setting(stages, tmp_path):
    output = tmp_path / "run"
    train(load_stages(stages)["a"], output / "a", "cpu", False)
    changed = load_stages(stages, ["train.lr=1e-5"])
    with pytest.raises(ValueError, match="has no checkpoint yet, so every setting may change"):
        train_stages(changed, output, "cpu", allow_change=["train.lr", "train.ema_decay"])
    train_stages(changed, output, "cpu", allow_change=["train.lr"])
    assert RunFolder(output / "b").changes() == []
    assert read_metrics(output / "b" / "metrics.jsonl")[-1]["lr"] == 1e-5
