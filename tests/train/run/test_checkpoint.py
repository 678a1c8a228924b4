"""Checkpoints are complete or absent, and loading one runs no code."""

import pytest
import torch

from vistok.train.run.checkpoint import checkpoints, load_checkpoint, save_checkpoint


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
