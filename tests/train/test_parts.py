"""Schedules, moving averages, objectives, seeds and checkpoints, one law each."""

import math

import pytest
import torch
from torch import nn

from tiny import tiny_tokenizer
from vistok.seeding import seed_step, step_seed
from vistok.train.config.run_config import Data, Losses
from vistok.train.losses.generator import generator_objective, training_psnr
from vistok.train.monitor.metrics_log import MetricsLog, read_metrics
from vistok.train.optimization.ema import EMA
from vistok.train.optimization.schedule import learning_rate_factor
from vistok.train.run.checkpoint import checkpoints, load_checkpoint, save_checkpoint


def test_warm_up_rises_linearly_and_the_schedules_end_at_their_floor():
    for name in ("cosine", "linear"):
        factor = learning_rate_factor(name, warmup_steps=4, steps=20, final_factor=0.1)
        assert [factor(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
        assert factor(19) == pytest.approx(0.1)
        values = [factor(step) for step in range(4, 20)]
        assert values == sorted(values, reverse=True)
    constant = learning_rate_factor("constant", 0, 20, 0.0)
    assert {constant(step) for step in range(20)} == {1.0}


def test_cosine_is_half_way_down_in_the_middle():
    factor = learning_rate_factor("cosine", 0, 101, 0.0)
    assert factor(50) == pytest.approx(0.5)
    assert factor(25) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_the_moving_average_follows_its_formula():
    model = nn.Linear(2, 2)
    ema = EMA(model, decay=0.5)
    expected = model.weight.detach().clone()
    for update in range(1, 6):
        with torch.no_grad():
            model.weight += 1.0
        ema.update(model)
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(ema.shadow.weight.detach(), expected)
    assert not any(p.requires_grad for p in ema.shadow.parameters())


def test_the_moving_average_copies_buffers():
    model = nn.BatchNorm1d(2)
    ema = EMA(model, decay=0.9)
    model(torch.randn(8, 2) + 5)
    ema.update(model)
    assert torch.equal(ema.shadow.running_mean, model.running_mean)


def test_the_objective_is_the_weighted_sum_of_its_terms():
    tokenizer = tiny_tokenizer("image", {"kind": "kl", "latent_channels": 2, "kl_weight": 0.5})
    pixels = torch.rand(2, 3, 1, 16, 16) * 2 - 1
    output = tokenizer.train()(pixels)
    objective = generator_objective(output, pixels, Losses(l1_weight=2.0, l2_weight=3.0))
    terms = objective.terms
    expected = 2 * terms["l1"] + 3 * terms["l2"] + 0.5 * terms["kl"]
    torch.testing.assert_close(objective.loss.detach(), expected)
    torch.testing.assert_close(terms["l1"], (output.pixels - pixels).abs().mean().detach())
    assert not any(term.requires_grad for term in terms.values())


def test_training_psnr_takes_the_range_of_two():
    assert training_psnr(torch.tensor(4.0)) == pytest.approx(0.0)
    assert training_psnr(torch.tensor(0.04)) == pytest.approx(20.0)


def test_every_step_and_rank_has_its_own_random_numbers():
    seeds = {step_seed(s, step, r) for s in range(3) for step in range(5) for r in range(2)}
    assert len(seeds) == 30
    seed_step(1, 2, 3)
    first = torch.rand(3)
    torch.rand(100)
    seed_step(1, 2, 3)
    assert torch.equal(torch.rand(3), first)


def test_only_whole_checkpoints_count_and_the_newest_stay(tmp_path):
    for step in (5, 10, 1000):
        save_checkpoint(tmp_path, {"step": step, "w": torch.ones(2)}, {"a": 1}, keep_last=2)
    (tmp_path / ".partial-step-00002000").mkdir()
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000010", "step-00001000"]
    state = load_checkpoint(tmp_path / "step-00001000")
    assert state["step"] == 1000
    assert torch.equal(state["w"], torch.ones(2))


def test_the_best_checkpoint_is_spared(tmp_path):
    for step in (5, 10, 15, 20):
        save_checkpoint(tmp_path, {"step": step}, {}, keep_last=1, protect_step=5)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000005", "step-00000020"]


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("owned",)

    folder = tmp_path / "step-00000001"
    folder.mkdir()
    torch.save({"step": Evil()}, folder / "state.pt")
    with pytest.raises(Exception, match="Weights only load failed"):
        load_checkpoint(folder)


def test_metrics_beyond_the_checkpoint_are_dropped_on_resume(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, resume_step=0)
    for step in (1, 2, 3):
        log.write({"step": step})
    with path.open("a") as file:
        file.write('{"step": 4, "lo')  # cut off by a kill
    assert [entry["step"] for entry in read_metrics(path)] == [1, 2, 3]
    MetricsLog(path, resume_step=2).write({"step": 3})
    assert [entry["step"] for entry in read_metrics(path)] == [1, 2, 3]


def data_config(**options):
    return Data.model_validate({"source": "samples:train", **options})


def test_sources_may_have_weights():
    parts = [{"source": "a", "weight": 2}, {"source": "b", "weight": 1}]
    assert data_config(source=parts).sources == [("a", 2.0), ("b", 1.0)]
    assert data_config().sources == [("samples:train", None)]
    rules = data_config(size=32, short_side=[40, 60], buckets=[[32, 48]]).crop_rules
    assert (rules.short_side, rules.shapes) == ((40, 60), ((32, 48),))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_ratio": 0.5}, r"image_ratio=0\.5 needs frames > 1, got frames=1"),
        ({"fps": 5}, "fps=5 needs frames > 1"),
        ({"short_side": [60, 40], "size": 32}, r"short_side must rise, got \[60, 40\]"),
        ({"short_side": 100}, "short_side must be at least the crop's, 256, got 100"),
        ({"source": ""}, "source is empty; give a folder"),
        ({"source": [{"source": " ", "weight": 1}]}, "source is empty"),
        ({"source": []}, "at least 1 item"),
        ({"max_bad": -1}, "greater than or equal to 0"),
    ],
)
def test_data_settings_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        data_config(**options)
