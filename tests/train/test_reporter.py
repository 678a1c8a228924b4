"""Reports follow the checkpoint, fail without harm, and are made up for after a kill."""

import pytest
import torch
from accelerate import Accelerator
from torch.utils._pytree import keystr, tree_flatten_with_path

from killed_runs import everything_at_once
from runs import assert_same_state, last_state, tiny_run
from vistok.train import steps
from vistok.train.loop import train
from vistok.train.monitor.metrics_log import read_metrics
from vistok.train.monitor.validation import Validation
from vistok.train.reporter import Reporter
from vistok.train.run.checkpoint import checkpoint_step, checkpoints, load_checkpoint

VARYING = {"samples_per_second", "data_wait_share", "memory_gib"}


def rows_of(folder) -> list[dict]:
    rows = read_metrics(folder / "metrics.jsonl")
    return [{k: v for k, v in row.items() if k not in VARYING} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run with rows, scores and grids at steps 3 and 6, checkpoints at each."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(reporting_run(), folder, "cpu", show_progress=False)
    return folder


def reporting_run(**options):
    return tiny_run(log_every_steps=3, checkpoint_every_steps=1, **options)


@pytest.mark.parametrize("part", ["report", "_log", "draw"])
def test_a_report_that_a_kill_cut_off_is_made_up_for(whole, tmp_path, monkeypatch, part):
    folder = tmp_path / "run"
    owner = Validation if part == "draw" else Reporter
    original = getattr(owner, part)

    def killed(self, first, *others):
        if (folder / "checkpoints" / "step-00000003").exists():
            raise KeyboardInterrupt
        return original(self, first, *others)

    monkeypatch.setattr(owner, part, killed)
    with pytest.raises(KeyboardInterrupt):
        train(reporting_run(), folder, "cpu", show_progress=False)
    monkeypatch.undo()
    assert last_state(folder)["step"] == 3
    train(reporting_run(), folder, "cpu", show_progress=False)
    assert rows_of(folder) == rows_of(whole)
    assert rows_of(folder)[0]["eval_psnr"] is not None
    for name in ("samples/step-00000003.png", "best/best.json"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("what", ["evaluation", "sample grid", "tracker"])
def test_a_failing_report_is_a_warning_and_the_run_resumes_nothing(
    tmp_path, monkeypatch, caplog, what
):
    def fails(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    owner, name = {
        "evaluation": (Validation, "scores"),
        "sample grid": (Validation, "draw"),
        "tracker": (Accelerator, "log"),
    }[what]
    monkeypatch.setattr(owner, name, fails)
    result = train(tiny_run(steps=3), tmp_path / "run", "cpu", show_progress=False)
    assert result.tokenizer is not None
    assert f"step 3: the {what} failed, and is left out: CUDA out of memory" in caplog.text
    rows = rows_of(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert (rows[2]["eval_psnr"] is None) == (what == "evaluation")


def test_zero_switches_evaluations_and_sample_grids_off(tmp_path):
    config = tiny_run(steps=3, sample_every_steps=0)
    config = config.model_copy(update={"eval": config.eval.model_copy(update={"every_steps": 0})})
    train(config, tmp_path / "run", "cpu", show_progress=False)
    assert not list((tmp_path / "run" / "samples").iterdir())
    assert not (tmp_path / "run" / "best").exists()
    assert [row["eval_psnr"] for row in rows_of(tmp_path / "run")] == [None] * 3


def broken_pixels(monkeypatch, folder, broken_step):
    """Let the pixels of one step be NaN."""
    to_pixels = steps.to_pixels

    def broken(clips):
        is_broken = last_step(folder) == broken_step - 1
        return to_pixels(clips) * (torch.nan if is_broken else 1)

    monkeypatch.setattr(steps, "to_pixels", broken)


def test_a_skipped_step_leaves_no_trace_in_networks_optimizers_and_averages(
    tmp_path, monkeypatch, caplog
):
    config = everything_at_once()
    options = {"checkpoint_every_steps": 1, "keep_last": 100, "max_skipped_steps": 1, "steps": 8}
    config = config.model_copy(update={"train": config.train.model_copy(update=options)})
    folder = tmp_path / "run"
    broken_pixels(monkeypatch, folder, 6)
    train(config, folder, "cpu", show_progress=False)
    before, after, later = (
        load_checkpoint(folder / "checkpoints" / f"step-0000000{step}") for step in (5, 6, 7)
    )
    counts = ("step", "skipped", "means", "code_statistics")
    assert after["skipped"] == {"skipped_in_a_row": 1, "skipped": 1}
    assert later["skipped"]["skipped_in_a_row"] == 0
    (ours, _), (theirs, _) = (
        tree_flatten_with_path({k: v for k, v in state.items() if k not in counts})
        for state in (before, after)
    )
    changed = [
        keystr(path)
        for (path, a), (_, b) in zip(ours, theirs, strict=True)
        if not (torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b)
    ]
    assert len(ours) > 100
    # Learning rates are set at every step.
    assert not [name for name in changed if not name.endswith("['lr']")]
    assert "step 6: the tokenizer is not updated (1 of 1 in a row): the latents" in caplog.text


def test_a_run_that_skips_resumes_exactly(tmp_path, monkeypatch):
    """It is killed within a row of metrics that counts a skipped step."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    config = reporting_run(max_skipped_steps=1)
    for folder in (whole, cut):
        with monkeypatch.context() as patched:
            broken_pixels(patched, folder, 4)
            if folder == cut:
                broken = steps.to_pixels

                def killed(clips, broken=broken):
                    if last_step(cut) == 4:
                        raise KeyboardInterrupt
                    return broken(clips)

                patched.setattr(steps, "to_pixels", killed)
                with pytest.raises(KeyboardInterrupt):
                    train(config, folder, "cpu", show_progress=False)
                patched.setattr(steps, "to_pixels", broken)
            train(config, folder, "cpu", show_progress=False)
    assert rows_of(cut) == rows_of(whole)
    assert [row["skipped_steps"] for row in rows_of(cut)] == [0, 1]
    assert_same_state(cut, whole)


def last_step(folder) -> int:
    taken = checkpoints(folder / "checkpoints")
    return checkpoint_step(taken[-1]) if taken else 0
