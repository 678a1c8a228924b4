"""A run's folder: what is finished, what may be taken up again, and what a refusal leaves alone."""

import shutil
from pathlib import Path

import torch

from runs import last_state, tiny_run
from vistok import VisualTokenizer
from vistok.train.loop import train
from vistok.train.run_folder import RunFolder


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
