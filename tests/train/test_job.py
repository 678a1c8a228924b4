"""Training from Python: the command line's job, with its config in any form."""

from pathlib import Path

import pytest

from runs import tiny_run
from tiny import tiny_image_configs
from vistok import VisualTokenizer, train_tokenizer
from vistok.config import dump
from vistok.folder_lock import FolderInUseError, folder_lock
from vistok.train.config.files import load_stages

QUICK = {"steps": 2, "batch_size": 2, "warmup_steps": 1}
SILENT = {"sample_every_steps": 0, "latent_statistics_samples": 0, "trackers": []}


def settings() -> dict:
    encoder, decoder = tiny_image_configs()
    return {
        "extends": "quickstart",
        "model": {"encoder": encoder, "decoder": decoder},
        "data": {"size": 32, "workers": 0},
        "train": {**QUICK, **SILENT},
        "eval": {"source": None},
    }


def test_a_mapping_is_trained_and_resumed(tmp_path):
    first = train_tokenizer(settings(), str(tmp_path / "run"), device="cpu")
    assert (first.step, first.tokenizer) == (2, tmp_path / "run" / "tokenizer")
    assert VisualTokenizer.from_pretrained(first.tokenizer).codebook_size == 64_000
    again = train_tokenizer(settings(), tmp_path / "run", overrides=["train.steps=2"], device="cpu")
    assert again == first


def test_every_form_of_a_config_means_the_same(tmp_path):
    (tmp_path / "mine.yaml").write_text(dump(settings()))
    from_file = load_stages(tmp_path / "mine.yaml")[""]
    assert load_stages(settings())[""] == from_file
    assert load_stages(from_file.to_tree())[""] == from_file
    in_python = settings()
    in_python["data"]["source"] = Path("samples:train")
    in_python["train"]["optimizer"] = {"betas": (0.9, 0.95)}
    assert load_stages(in_python)[""] == from_file
    assert in_python["extends"] == "quickstart", "the caller's mapping is left alone"
    stages = [{"name": "one"}, {"name": "two", "train": {"steps": 3}}]
    assert list(load_stages({**settings(), "stages": stages})) == ["one", "two"]


def test_a_checked_config_is_trained(tmp_path):
    config = tiny_run(**QUICK, **SILENT)
    result = train_tokenizer(
        config, tmp_path / "run", overrides=["eval.every_steps=0"], device="cpu"
    )
    assert result.step == 2


def test_the_checks_and_the_lock_are_those_of_the_command_line(tmp_path):
    wrong = {**settings(), "train": {"lrr": 1}}
    with pytest.raises(ValueError, match=r"train.lrr: unknown key; did you mean"):
        train_tokenizer(wrong, tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"did you mean quickstart\?"):
        train_tokenizer("quikstart", tmp_path / "run")
    with pytest.raises(ValueError, match=r"data.source is not set"):
        train_tokenizer("image_fsq_f8", tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be a folder"):
        train_tokenizer(settings(), tmp_path / "file")
    assert not (tmp_path / "run").exists()
    with folder_lock(tmp_path / "run"), pytest.raises(FolderInUseError):
        train_tokenizer(settings(), tmp_path / "run", device="cpu")
