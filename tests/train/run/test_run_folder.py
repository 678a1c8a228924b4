"""A run's folder: what is finished, what may be taken up again, and what a refusal leaves alone."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from runs import last_state, tiny_run
from vistok import VisualTokenizer
from vistok.train.loop import train
from vistok.train.run.run_folder import RunFolder


def assert_tokenizer_is_the_last_checkpoint(folder: Path) -> None:
    saved = VisualTokenizer.from_pretrained(folder / "tokenizer").state_dict()
    ema = last_state(folder)["ema"]
    assert all(torch.equal(saved[name], ema[name]) for name in saved)


def test_an_extended_run_killed_before_its_tokenizer_was_written_is_not_finished(tmp_path):
    """The tokenizer of the shorter run still stands there: it must not pass for the new one."""
    folder, short = tmp_path / "run", tmp_path / "short"
    train(tiny_run(steps=2), folder, "cpu", False)
    shutil.copytree(folder / "tokenizer", short)
    train(tiny_run(steps=4), folder, "cpu", False)
    shutil.rmtree(folder / "tokenizer")
    short.rename(folder / "tokenizer")
    assert not RunFolder(folder).finished(4)
    train(tiny_run(steps=4), folder, "cpu", False)
    assert RunFolder(folder).finished(4)
    assert_tokenizer_is_the_last_checkpoint(folder)


def test_a_run_begun_before_a_setting_existed_goes_on_with_its_default(tmp_path):
    folder = tmp_path / "run"
    train(tiny_run(steps=2), folder, "cpu", False)
    stored = yaml.safe_load((folder / "config.yaml").read_text())
    del stored["train"]["path_mode"]
    (folder / "config.yaml").write_text(yaml.safe_dump(stored))
    assert train(tiny_run(steps=3), folder, "cpu", False).step == 3


def test_a_stored_config_that_cannot_be_read_any_more_is_named_with_its_problem(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.claim(tiny_run().to_tree())
    folder.config.write_text(folder.config.read_text() + "wings: 2\n")
    with pytest.raises(ValueError, match=r"config.yaml is not a run config .*\nwings: unknown key"):
        folder.check(tiny_run().to_tree())


def test_fewer_steps_than_done_are_refused_and_leave_the_run_as_it_is(tmp_path, caplog):
    folder = tmp_path / "run"
    train(tiny_run(steps=3), folder, "cpu", False)
    before = (folder / "config.yaml").read_text()
    caplog.clear()
    with pytest.raises(
        ValueError, match=r"train.steps=2 lies before the run's checkpoint of step 3"
    ):
        train(tiny_run(steps=2), folder, "cpu", False)
    assert (folder / "config.yaml").read_text() == before
    assert "schedule follows" not in caplog.text
