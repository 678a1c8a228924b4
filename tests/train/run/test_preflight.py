"""What can be checked before a run claims its folder is checked before it."""

import importlib.util
from pathlib import Path

import pytest
import yaml

from runs import tiny_run
from tiny import tiny_image_configs
from vistok.train.config.files import load_stages
from vistok.train.loop import train
from vistok.train.run.run_folder import RunFolder
from vistok.train.stages import train_stages


def refused_run(config, output: Path, match: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=match):
        train(config, output, "cpu", show_progress=False)
    assert not output.exists(), "a refusal claims no folder"


def test_frozen_networks_claim_no_folder(tmp_path):
    config = tiny_run(freeze=["encoder", "decoder", "bottleneck"])
    refused_run(config, tmp_path / "run", "nothing to train: every parameter of the model")


def test_missing_weights_of_lpips_claim_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VISTOK_VGG16_WEIGHTS", str(tmp_path / "nowhere.pth"))
    config = tiny_run(losses={"perceptual_weight": 1})
    refused_run(config, tmp_path / "run", "the weights of LPIPS's VGG16 trunk are missing")


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"source": "./nowhere"}, "no tokenizer at ./nowhere"),
        ({"source": "previous"}, "start.source=previous needs a stage before"),
        ({"source": "./nowhere", "weights": "raw"}, "is not a run with checkpoints"),
    ],
)
def test_a_start_that_does_not_exist_claims_no_folder(tmp_path, start, message):
    config = tiny_run()
    config.start = type(config.start).model_validate(start)
    refused_run(config, tmp_path / "run", message)


def test_held_out_data_that_cannot_be_read_claims_no_folder(tmp_path):
    config = tiny_run()
    (tmp_path / "notes.txt").write_text("")
    config.eval.source = str(tmp_path / "nothing")
    refused_run(config, tmp_path / "run", "nothing' does not exist")


def test_a_package_that_is_not_installed_claims_no_folder(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "vistok.train.monitor.trackers.find_spec",
        lambda name: None if name == "wandb" else real(name),
    )
    refused_run(tiny_run(trackers=["wandb"]), tmp_path / "run", "names wandb, which is not install")


def test_a_refused_start_leaves_an_earlier_folder_as_it_was(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.claim(tiny_run().to_tree())
    before = folder.config.read_text()
    with pytest.raises(ValueError, match="nothing to train"):
        train(tiny_run(freeze=["encoder", "decoder"]), folder.root, "cpu", False)
    assert folder.config.read_text() == before


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ({"data": {"source": "./nothing"}}, "stage b: .*nothing' does not exist"),
        ({"data": {"shuffle": "stream"}}, "stage b: source 'samples:train' names no tar shard"),
        ({"data": {"source": "./no.tar", "shuffle": "stream"}}, "stage b: .*no.tar' does not"),
        ({"start": {"source": "./nowhere"}}, "stage b: no tokenizer at ./nowhere"),
        ({"train": {"losses": {"perceptual_weight": 1}}}, "stage b: the weights of LPIPS's VGG16"),
        ({"eval": {"source": "samples:heldout", "metrics": ["psnr", "lpips_vgg"]}},
         "stage b: eval.metrics names lpips_vgg, which is unavailable"),
    ],
)  # fmt: skip
def test_a_later_stage_is_checked_before_the_first_is_trained(
    tmp_path, monkeypatch, later, message
):
    monkeypatch.setenv("VISTOK_VGG16_WEIGHTS", str(tmp_path / "nowhere.pth"))
    encoder, decoder = tiny_image_configs()
    tree = {
        "model": {"encoder": encoder, "bottleneck": {"kind": "fsq"}, "decoder": decoder},
        "data": {"source": "samples:train", "size": 32, "workers": 0},
        "train": {"steps": 2, "batch_size": 2},
        "stages": [{"name": "a"}, {"name": "b", **later}],
    }
    path = tmp_path / "stages.yaml"
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train_stages(load_stages(path), tmp_path / "run", "cpu")
    assert not (tmp_path / "run").exists()
