"""Two processes train as one does: the same losses, the same steps, whatever they draw."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from runs import last_state
from tiny import tiny_image_configs, tiny_video_configs
from vistok.train.monitor.metrics_log import read_metrics

SHARDED_RUN = Path(__file__).parents[1] / "support" / "sharded_run.py"

pytestmark = pytest.mark.slow


DUAL_PATH = {
    "kind": "dual_path",
    "continuous": {"kind": "plain"},
    "quantizer": {"kind": "multi_token", "quantizer": {"kind": "fsq"}, "dim": 16},
}


def write_config(
    folder: Path, kind: str = "image", bottleneck: dict | None = None, **train_options
) -> Path:
    encoder, decoder = tiny_image_configs() if kind == "image" else tiny_video_configs()
    data = {"source": "samples:train", "size": 32, "workers": 0}
    if kind == "video":
        data |= {"frames": 5, "image_ratio": 0.5}
    options = {"steps": 4, "batch_size": 2, "lr": 1e-3, "log_every_steps": 1, "trackers": []}
    held_out = "samples:heldout" if kind == "image" else "samples:videos"
    tree = {
        "model": {
            "encoder": encoder,
            "bottleneck": bottleneck or {"kind": "fsq"},
            "decoder": decoder,
        },
        "data": data,
        "train": {**options, **train_options},
        "eval": {"source": held_out, "size": 32, "every_steps": 2, "limit": 3},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def game(**adversarial) -> dict:
    """A discriminator whose group norm sees half a batch as it sees it within the whole."""
    discriminator = {"kind": "patchgan", "base_channels": 8, "num_layers": 1, "norm": "group"}
    return {
        "losses": {"adversarial_weight": 0.1},
        "adversarial": {"discriminator": discriminator, **adversarial},
    }


def run(processes: int, *arguments: str) -> None:
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        command += [str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def train(processes: int, config: Path, output: Path, *settings: str) -> None:
    options = [part for setting in settings for part in ("--set", setting)]
    run(processes, "-m", "vistok", "train", str(config), "--output", str(output), *options)


def assert_same_lines(ours: Path, theirs: Path, *names: str) -> None:
    for a, b in zip(*(read_metrics(p / "metrics.jsonl") for p in (ours, theirs)), strict=True):
        for name in names:
            assert a[name] == pytest.approx(b[name], rel=2e-4), (a["step"], name)


def test_two_processes_give_the_losses_and_weights_of_one(tmp_path):
    config = write_config(tmp_path, **game())
    train(1, config, tmp_path / "one", "train.batch_size=4")
    train(2, config, tmp_path / "two")
    assert last_state(tmp_path / "two")["world_size"] == 2
    names = ["loss", "l1", "gradient_norm", "generator", "discriminator_loss", "lecam"]
    names += ["discriminator_gradient_norm", "codebook_entropy"]
    assert_same_lines(tmp_path / "one", tmp_path / "two", *names)
    one, two = (last_state(tmp_path / name)["ema"] for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=1e-4, rtol=1e-4)


def test_sharded_training_gives_the_losses_of_whole_copies_and_goes_on_alone(tmp_path):
    config = write_config(tmp_path, **game(adaptive=True))
    sharded = "train.parallelism=fsdp2"
    train(2, config, tmp_path / "ddp")
    train(2, config, tmp_path / "fsdp", sharded)
    names = ["loss", "l1", "gradient_norm", "adversarial_weight", "discriminator_loss"]
    assert_same_lines(tmp_path / "ddp", tmp_path / "fsdp", *names)
    train(2, config, tmp_path / "fsdp", sharded, "train.steps=6")
    train(1, config, tmp_path / "fsdp", "train.steps=8")
    assert last_state(tmp_path / "fsdp")["step"] == 8


def test_every_weight_of_both_networks_is_sharded_and_a_checkpoint_is_whole(tmp_path):
    config = write_config(tmp_path, parallelism="fsdp2", **game(adaptive=True))
    run(2, str(SHARDED_RUN), str(config), str(tmp_path))


def test_sharding_needs_several_processes(tmp_path):
    config = write_config(tmp_path, parallelism="fsdp2")
    with pytest.raises(AssertionError, match="parallelism=fsdp2 needs several processes"):
        train(1, config, tmp_path / "run")


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp2"])
def test_images_and_clips_in_turn_neither_hang_nor_die_on_unused_weights(tmp_path, parallelism):
    """An image leaves temporal layers without gradient; both ranks draw the same kind."""
    config = write_config(tmp_path, "video", steps=6, parallelism=parallelism, **game())
    train(2, config, tmp_path / "run")
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp2"])
def test_two_processes_take_the_paths_of_one(tmp_path, parallelism):
    """A path not taken leaves its weights without gradient, on both ranks at the same steps."""
    options = {"steps": 8, "path_mode": "sampled", **game()}
    config = write_config(tmp_path, "video", DUAL_PATH, **options)
    train(1, config, tmp_path / "one", "train.batch_size=4")
    train(2, config, tmp_path / "two", f"train.parallelism={parallelism}")
    names = ["loss", "l1", "gradient_norm", "generator", "discriminator_loss"]
    assert_same_lines(tmp_path / "one", tmp_path / "two", *names)
    lines = read_metrics(tmp_path / "two" / "metrics.jsonl")
    paths = {path for line in lines for path in ("discrete", "continuous") if f"{path}_l1" in line}
    assert paths == {"discrete", "continuous"}
