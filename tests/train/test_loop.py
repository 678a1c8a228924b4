"""The loop: it learns, resumes bit for bit after a kill, and refuses what would lose something."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from killed_runs import everything_at_once, long_run, start, wait_for_checkpoint
from runs import assert_same_state, last_state, tiny_run
from vistok import VisualTokenizer
from vistok.data.codecs.image import read_image
from vistok.train.loop import train
from vistok.train.losses.generator import Objective, generator_objective
from vistok.train.monitor.metrics_log import read_metrics
from vistok.train.run.checkpoint import check_world_size, checkpoints, load_checkpoint
from vistok.train.run.run_folder import RunFolder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state = last_state(folder)
    return {**state["model"], **{f"ema.{k}": v for k, v in state["ema"].items()}}


def test_a_run_leaves_everything_the_contract_names(tmp_path):
    folder = tmp_path / "run"
    result = train(tiny_run(), folder, show_progress=False)
    assert (result.step, result.tokenizer) == (6, folder / "tokenizer")
    assert (folder / "config.yaml").is_file()
    assert [p.name for p in checkpoints(folder / "checkpoints")] == [
        "step-00000004",
        "step-00000006",
    ]
    metrics = read_metrics(folder / "metrics.jsonl")
    assert [entry["step"] for entry in metrics] == [1, 2, 3, 4, 5, 6]
    assert len({tuple(entry) for entry in metrics}) == 1, "the keys never change"
    assert [e["step"] for e in metrics if e["eval_psnr"] is not None] == [3, 6]
    grid = read_image(folder / "samples" / "step-00000006.png")
    assert grid.size == (2 * (64 + 4) + 4 + 2 * (64 + 4), 2 * (64 + 4) + 4)
    assert list((folder / "tensorboard").rglob("events.out.tfevents.*"))
    best = json.loads((folder / "best" / "best.json").read_text())
    scores = {entry["step"]: entry["eval_psnr"] for entry in metrics}
    assert best["value"] == max(scores[3], scores[6]) == pytest.approx(scores[best["step"]])
    VisualTokenizer.from_pretrained(folder / "best")
    tokenizer = VisualTokenizer.from_pretrained(folder / "tokenizer")
    saved, ema = tokenizer.state_dict(), weights(folder)
    assert all(torch.equal(saved[name], ema[f"ema.{name}"]) for name in saved)


@pytest.mark.slow
def test_it_learns(tmp_path):
    options = {"steps": 60, "batch_size": 8, "lr": 5e-3, "log_every_steps": 60}
    train(tiny_run(**options, checkpoint_every_steps=60), tmp_path / "run", show_progress=False)
    entries = read_metrics(tmp_path / "run" / "metrics.jsonl")
    scores = [entry["eval_psnr"] for entry in entries if entry["eval_psnr"] is not None]
    assert scores[-1] > scores[0] + 2, "held-out PSNR rises by more than 2 dB"


@pytest.mark.parametrize(
    "bottleneck", [{"kind": "fsq"}, {"kind": "kl", "latent_channels": 4}], ids=lambda b: b["kind"]
)
def test_a_run_in_two_parts_equals_one_in_one(tmp_path, bottleneck):
    """KL draws noise and accumulation splits the batch: both follow the step, not the history."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = {"schedule": "constant", "accumulation_steps": 2}
    train(tiny_run(bottleneck, **options), whole, show_progress=False)
    train(tiny_run(bottleneck, steps=2, **options), parts, show_progress=False)
    train(tiny_run(bottleneck, **options), parts, show_progress=False)
    assert_same_state(whole, parts)
    steps = [entry["step"] for entry in read_metrics(parts / "metrics.jsonl")]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_row_covers_the_steps_before_an_interruption_too(tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    config = tiny_run(log_every_steps=3)
    train(config, whole, show_progress=False)

    steps = iter(range(1, 7))

    def interrupted(*arguments, **more):
        if next(steps) == 6:
            raise KeyboardInterrupt
        return generator_objective(*arguments, **more)

    monkeypatch.setattr("vistok.train.steps.generator_objective", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config, cut, show_progress=False)
    monkeypatch.undo()
    assert last_state(cut)["step"] == 4, "a row was begun before the checkpoint"
    train(config, cut, show_progress=False)
    varying = {"samples_per_second", "data_wait_share", "memory_gib"}
    ours, theirs = (
        [{k: v for k, v in row.items() if k not in varying} for row in read_metrics(path)]
        for path in (cut / "metrics.jsonl", whole / "metrics.jsonl")
    )
    assert ours == theirs
    assert [row["step"] for row in ours] == [3, 6]
    assert ours[1]["codebook_perplexity"] > 1


@pytest.mark.slow
def test_a_killed_run_started_again_ends_bit_equal(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(killed, long_run(120))
    wait_for_checkpoint(killed, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 20 <= last_state(killed)["step"] < 120, "killed in the middle"
    for folder in (killed, whole):
        train(long_run(120), folder, show_progress=False)
    assert_same_state(killed, whole)


@pytest.mark.slow
def test_a_killed_run_of_everything_at_once_ends_bit_equal(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(killed, everything_at_once())
    wait_for_checkpoint(killed, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert 2 <= last_state(killed)["step"] < 12, "killed in the middle"
    for folder in (killed, whole):
        train(everything_at_once(), folder, show_progress=False)
    assert_same_state(killed, whole)
    state = last_state(whole)
    assert state["lecam"]["real"] != 0, "LeCam followed the logits"
    assert state["likelihood"]["logvar"] != 0, "the log-variance was learned"
    moved = state["model"]["bottleneck.codebook"]
    assert not torch.equal(
        moved,
        load_checkpoint(checkpoints(whole / "checkpoints")[0])["model"]["bottleneck.codebook"],
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_sigterm_saves_and_leaves_with_code_0(tmp_path):
    process = start(tmp_path / "run", long_run(100_000, workers=1))
    wait_for_checkpoint(tmp_path / "run", process)
    # Schedulers signal the whole process group, readers included.
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    assert "stopped by a signal after step" in errors.decode()
    assert not (tmp_path / "run" / "tokenizer").exists(), "the run is not finished"
    last = read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]
    newest = checkpoints(tmp_path / "run" / "checkpoints")[-1]
    assert load_checkpoint(newest)["step"] == last["step"]
    assert last["eval_psnr"] is None, "a scheduler does not wait for an evaluation"
    assert not list((tmp_path / "run" / "samples").glob("*"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_sigterm_before_the_first_step_leaves_with_code_0(tmp_path):
    process = start(tmp_path / "run", long_run(100_000))
    assert process.stderr is not None
    for line in process.stderr:  # the resolved config is said before the networks are built
        if b"best_metric" in line:
            break
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    assert not (tmp_path / "run" / "tokenizer").exists()


def test_a_metric_without_weights_is_said_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("VISTOK_ALEXNET_WEIGHTS", str(tmp_path / "nowhere.pth"))
    run = tiny_run()
    run.eval.metrics = ["psnr", "lpips_alex"]
    with pytest.raises(
        ValueError, match=r"eval\.metrics names lpips_alex, which is unavailable: the"
    ):
        train(run, tmp_path / "run", show_progress=False)
    assert not (tmp_path / "run").exists()


def test_a_run_that_never_saved_may_be_corrected(tmp_path, caplog):
    folder = RunFolder(tmp_path / "run")
    folder.claim(tiny_run(batch_size=64).to_tree())
    corrected = tiny_run(batch_size=2).to_tree()
    folder.claim(corrected, folder.check(corrected))
    assert caplog.messages == ["train.batch_size: 64 -> 2 (nothing was trained yet)"]


def test_fewer_steps_than_done_and_another_world_size_are_not_silent(tmp_path, caplog):
    train(tiny_run(), tmp_path / "run", show_progress=False)
    with pytest.raises(ValueError, match="lies before the run"):
        train(tiny_run(steps=3), tmp_path / "run", show_progress=False)
    check_world_size({"step": 6, "world_size": 2}, world_size=1)
    assert "had 2 process(es) before and resumes with 1" in caplog.text


def test_broken_gradients_stop_the_run_before_they_reach_the_weights(tmp_path, monkeypatch):
    """A loss can be finite where its gradient is not: the root of zero, for one."""

    def broken(output, *others, **more):
        good = generator_objective(output, *others, **more)
        zero = (output.pixels - output.pixels.detach()).square().sum()
        return Objective(good.loss + zero.sqrt() * 1e-3, good.terms)

    monkeypatch.setattr("vistok.train.steps.generator_objective", broken)
    with pytest.raises(
        FloatingPointError, match="norm of the gradients is nan at step 1; last good"
    ):
        train(tiny_run(), tmp_path / "run", show_progress=False)
    assert checkpoints(tmp_path / "run" / "checkpoints") == []


def test_a_folder_of_another_run_is_refused_and_left_alone(tmp_path):
    folder = tmp_path / "run"
    train(tiny_run(), folder, show_progress=False)
    before = (folder / "config.yaml").read_text()
    with pytest.raises(ValueError, match=r"other settings:\n  train.lr: 0.001 -> 0.5"):
        train(tiny_run(lr=0.5), folder, show_progress=False)
    assert (folder / "config.yaml").read_text() == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="is not empty and does not hold a run"):
        train(tiny_run(), other, show_progress=False)


def test_a_finished_run_started_again_does_nothing(tmp_path):
    train(tiny_run(), tmp_path / "run", show_progress=False)
    before = weights(tmp_path / "run")
    train(tiny_run(log_every_steps=3), tmp_path / "run", show_progress=False)
    after = weights(tmp_path / "run")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_last_good_checkpoint(tmp_path):
    broken = tiny_run(losses={"l1_weight": 1e300})
    with pytest.raises(FloatingPointError, match=r"inf \(l1=.*\) at step 1; last good checkpoint"):
        train(broken, tmp_path / "run", show_progress=False)
    assert not (tmp_path / "run" / "tokenizer").exists()


def test_latents_that_are_not_finite_stop_the_run_and_name_the_step(tmp_path):
    broken = tiny_run({"kind": "kl", "latent_channels": 4}, lr=1e30, warmup_steps=0, steps=50)
    message = r"the latents are not finite, .* at step \d+; last good checkpoint: none yet"
    with pytest.raises(FloatingPointError, match=message):
        train(broken, tmp_path / "run", show_progress=False)


def test_training_without_held_out_data_draws_training_samples(tmp_path):
    alone = tiny_run()
    alone.eval.source = None
    train(alone, tmp_path / "run", show_progress=False)
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["eval_psnr"] is None
    assert (tmp_path / "run" / "samples" / "step-00000006.png").is_file()


def test_without_a_bound_gradients_are_left_as_they_are(tmp_path):
    for name, bound in (("free", None), ("wide", 1e9), ("narrow", 1e-6)):
        options = {"optimizer": {"kind": "adam", "eps": 1.0}, "steps": 2, "ema_decay": 0}
        train(tiny_run(grad_clip_norm=bound, **options), tmp_path / name, "cpu", False)
    free, wide, narrow = (weights(tmp_path / name) for name in ("free", "wide", "narrow"))
    assert all(torch.equal(free[name], wide[name]) for name in free)
    assert not all(torch.equal(free[name], narrow[name]) for name in free)


def test_bf16_trains_and_fp16_without_an_accelerator_is_refused(tmp_path):
    train(tiny_run(mixed_precision="bf16", steps=2), tmp_path / "bf16", "cpu", False)
    state = last_state(tmp_path / "bf16")
    assert {weight.dtype for weight in state["model"].values()} == {torch.float32}
    with pytest.raises(ValueError, match=r"mixed_precision=fp16 is not supported on cpu"):
        train(tiny_run(mixed_precision="fp16"), tmp_path / "fp16", "cpu", False)


def test_codebook_use_is_logged_under_constant_keys(tmp_path):
    keys = ("codebook_usage", "codebook_perplexity", "codebook_entropy")
    train(
        tiny_run({"kind": "gq", "num_groups": 2, "bits_per_group": 3}), tmp_path / "a", "cpu", False
    )
    lines = read_metrics(tmp_path / "a" / "metrics.jsonl")
    assert all(0 < line["codebook_usage"] <= 1 for line in lines)
    assert all(0 <= line["codebook_entropy"] <= 3 for line in lines)
    assert [line["step"] for line in lines if line["eval_codebook_usage"] is not None] == [3, 6]
    train(tiny_run({"kind": "plain"}), tmp_path / "b", "cpu", False)
    lines = read_metrics(tmp_path / "b" / "metrics.jsonl")
    assert all(line[key] is None for line in lines for key in keys)


def test_the_discriminator_has_a_start_an_optimizer_and_updates_of_its_own(tmp_path):
    own = {"kind": "adamw", "betas": [0.5, 0.8], "weight_decay": 0.1}
    options = {
        "discriminator": {"kind": "patchgan", "base_channels": 4, "num_layers": 1},
        "discriminator_start_step": 2,
        "start_step": 4,
        "updates_per_step": 3,
        "lr": 0.5,
        "optimizer": own,
        "grad_clip_norm": 1e-9,
        "lecam_weight": 0,
    }
    run = tiny_run(losses={"adversarial_weight": 0.1}, adversarial=options, schedule="linear")
    train(run, tmp_path / "run", "cpu", False)
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    # Two steps of warm-up and a linear fall, from the discriminator's start at the third step.
    assert [row["discriminator_lr"] for row in rows] == pytest.approx([0, 0, 0.25, 0.5, 0.5, 0])
    assert [row["lr"] for row in rows] == pytest.approx([5e-4, 1e-3, 1e-3, 2e-3 / 3, 1e-3 / 3, 0])
    assert [row["discriminator"] > 0 for row in rows] == [False, False, True, True, True, True]
    assert [row["generator"] > 0 for row in rows] == [False] * 4 + [True] * 2
    theirs, ours = (last_state(tmp_path / "run")[f"{n}optimizer"] for n in ("", "discriminator_"))
    assert {state["step"].item() for state in ours["state"].values()} == {(6 - 2) * 3}
    assert {state["step"].item() for state in theirs["state"].values()} == {6}
    assert {tuple(group["betas"]) for group in ours["param_groups"]} == {(0.5, 0.8)}
    assert {group["weight_decay"] for group in ours["param_groups"]} == {0.0, 0.1}
    assert {tuple(group["betas"]) for group in theirs["param_groups"]} == {(0.9, 0.99)}
    largest = max(state["exp_avg"].abs().max() for state in ours["state"].values())
    assert 0 < largest < 1e-9, "its gradients are clipped to its own norm"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"losses": {"l1_weight": 0}}, "no reconstruction loss has a weight: set one of l1_weight"),
        ({"losses": {"temporal_difference_weight": 1}}, r"needs data\.frames > 1"),
        (
            {"warmup_start_factor": 0.5, "warmup_steps": 0},
            r"warmup_start_factor=0\.5 needs warmup_steps > 0",
        ),
        (
            {
                "freeze": ["decoder"],
                "losses": {"adversarial_weight": 0.1},
                "adversarial": {"adaptive": True},
            },
            r"the decoder's last layer, which train\.freeze holds",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_before_the_run(options, message):
    with pytest.raises(ValueError, match=message):
        tiny_run(**options)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ on a CPU")
def test_compiled_networks_train_like_others(tmp_path):
    """With the adaptive weight, whose slopes stop before the compiled part of the decoder.

    Compiled in a process of its own, since shapes are checked here by code that does not compile.
    One block per network: it takes a second to compile each of its fused operations.
    """
    game = {"losses": {"adversarial_weight": 0.1}, "adversarial": {"adaptive": True}}
    game["adversarial"]["discriminator"] = {"kind": "patchgan", "base_channels": 8, "num_layers": 1}
    network = {"kind": "causal", "patch_size": 8, "stages": [{"width": 8, "blocks": 1}]}
    train(tiny_run(network=network, steps=3, **game), tmp_path / "eager", show_progress=False)
    run = tiny_run(network=network, steps=3, compile=True, **game)
    process = start(tmp_path / "compiled", run)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    eager, compiled = (read_metrics(tmp_path / n / "metrics.jsonl") for n in ("eager", "compiled"))
    assert [line["loss"] for line in compiled] == pytest.approx(
        [line["loss"] for line in eager], rel=1e-4
    )
    assert VisualTokenizer.from_pretrained(tmp_path / "compiled" / "tokenizer")
