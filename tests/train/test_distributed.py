"""Two processes train as one does: the same losses, the same steps, whatever they draw."""

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml

from commands import run_process
from runs import last_state
from tiny import tiny_image_configs, tiny_video_configs
from vistok.train.config.files import load_run_config
from vistok.train.loop import train
from vistok.train.monitor.metrics_log import read_metrics

TRAIN_RANKS = Path(__file__).parents[1] / "support" / "train_ranks.py"

pytestmark = pytest.mark.slow


DUAL_PATH = {
    "kind": "dual_path",
    "continuous": {"kind": "plain"},
    "quantizer": {"kind": "multi_token", "quantizer": {"kind": "fsq"}, "dim": 16},
}


def game(learn_logvar: bool = False, **adversarial) -> dict:
    """A discriminator whose group norm sees half a batch as it sees it within the whole."""
    discriminator = {"kind": "patchgan", "base_channels": 8, "num_layers": 1, "norm": "group"}
    return {
        "losses": {"adversarial_weight": 0.1, "learn_logvar": learn_logvar},
        "adversarial": {"discriminator": discriminator, **adversarial},
    }


# A discriminator that learns first and twice per step, and a learned log-variance.
FIRST_AND_OFTEN = {
    "learn_logvar": True,
    "start_step": 1,
    "discriminator_start_step": 0,
    "updates_per_step": 2,
}
FSDP2 = "train.parallelism=fsdp2"
# Codebooks that learn by gradient and also move within the forward pass. An odd number of codes,
# so that the two slices differ; two micro-batches, so that they move twice per step.
KMEANS = {"kind": "vq", "codebook_size": 33, "codebook_dim": 4, "kmeans_init": True}
REVIVAL = {
    "kind": "multi_token",
    "quantizer": {
        "kind": "vq",
        "codebook_size": 33,
        "codebook_dim": 4,
        "distance": "cosine",
        "dead_code_threshold": 0.5,
        "ema_decay": 0.5,
    },
}
# What is trained: a kind of tokenizer, its bottleneck, and how.
CONFIGS = {
    "game": ("image", {"kind": "fsq"}, game()),
    "adaptive": ("image", {"kind": "fsq"}, game(adaptive=True, **FIRST_AND_OFTEN)),
    "turns": ("video", {"kind": "fsq"}, {"steps": 6, **game()}),
    "paths": ("video", DUAL_PATH, {"steps": 8, "path_mode": "sampled", **game()}),
    "rows": ("rows", {"kind": "fsq"}, {"steps": 8, "accumulation_steps": 2, **game()}),
    "kmeans": ("image", KMEANS, {"accumulation_steps": 2}),
    "revival": ("image", REVIVAL, {"accumulation_steps": 2}),
}
# Two lengths of clips, and images: each with its size and batch size.
ROWS = [
    {"batch_size": 1},
    {"frames": 9, "size": 16, "batch_size": 2},
    {"frames": 1, "share": 2, "batch_size": 3},
]
# What two processes train, one after the other: config, folder, settings.
ON_TWO = [
    ("game", "game-ddp"),
    ("adaptive", "adaptive-ddp"),
    ("adaptive", "adaptive-fsdp2", FSDP2),
    ("adaptive", "adaptive-fsdp2", FSDP2, "train.steps=6"),
    ("turns", "turns-ddp"),
    ("turns", "turns-fsdp2", FSDP2),
    ("rows", "rows-ddp"),
    ("kmeans", "kmeans-ddp"),
    ("kmeans", "kmeans-fsdp2", FSDP2),
    ("revival", "revival-ddp"),
    ("revival", "revival-fsdp2", FSDP2),
    ("paths", "paths-ddp"),
    ("paths", "paths-fsdp2", FSDP2),
]


def config_tree(kind: str, bottleneck: dict, train_options: dict) -> dict:
    encoder, decoder = tiny_image_configs() if kind == "image" else tiny_video_configs()
    data = {"source": "samples:train", "size": 32, "workers": 0}
    if kind == "video":
        data |= {"frames": 5, "image_ratio": 0.5}
    if kind == "rows":
        data |= {"frames": 5, "buckets": ROWS}
    options = {"steps": 4, "batch_size": 2, "lr": 1e-3, "log_every_steps": 1, "trackers": []}
    options["latent_statistics_samples"] = 4
    held_out = "samples:heldout" if kind == "image" else "samples:videos"
    return {
        "model": {"encoder": encoder, "bottleneck": bottleneck, "decoder": decoder},
        "data": data,
        "train": {**options, **train_options},
        "eval": {"source": held_out, "size": 32, "every_steps": 2, "limit": 3},
    }


def train_alone(folder: Path, config: str, output: str, *settings: str) -> None:
    options = load_run_config(str(folder / f"{config}.yaml"), settings)
    train(options, folder / output, show_progress=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Configs, and beside them the folders of all runs of two processes."""
    folder = tmp_path_factory.mktemp("runs")
    for name, config in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config_tree(*config)))
    options = {"parallelism": "fsdp2", "max_skipped_steps": 1, **game(adaptive=True)}
    sharded = config_tree("image", KMEANS, options)
    (folder / "sharded.yaml").write_text(yaml.safe_dump(sharded))
    (folder / "sharded").mkdir()
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc-per-node", "2", TRAIN_RANKS]
    runs = [(f"{folder / name}.yaml", str(folder / out), how) for name, out, *how in ON_TWO]
    arguments = [json.dumps(runs), folder / "sharded.yaml", folder / "sharded"]
    done = run_process([*launch, *arguments], timeout=400)
    assert done.returncode == 0, done.stderr
    return folder


def assert_same_lines(ours: Path, theirs: Path, *names: str, more: int = 0) -> None:
    """Compare step by step; `theirs` went on for so many steps more."""
    a_lines, b_lines = (read_metrics(path / "metrics.jsonl") for path in (ours, theirs))
    for a, b in zip(a_lines, b_lines[: len(b_lines) - more], strict=True):
        for name in names:
            assert a[name] == pytest.approx(b[name], rel=2e-4), (a["step"], name)


def test_two_processes_give_the_losses_and_weights_of_one(folder):
    train_alone(folder, "game", "game-one", "train.batch_size=4")
    assert last_state(folder / "game-ddp")["world_size"] == 2
    names = ["loss", "l1", "gradient_norm", "generator", "discriminator_loss", "lecam"]
    names += ["discriminator_gradient_norm", "codebook_entropy"]
    assert_same_lines(folder / "game-one", folder / "game-ddp", *names)
    one, two = (last_state(folder / name)["ema"] for name in ("game-one", "game-ddp"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=1e-4, rtol=1e-4)


def test_sharded_training_gives_the_losses_of_whole_copies_and_goes_on_alone(folder):
    sharded = folder / "adaptive-fsdp2"
    names = ["loss", "l1", "gradient_norm", "adversarial_weight", "discriminator_loss", "logvar"]
    assert_same_lines(folder / "adaptive-ddp", sharded, *names, more=2)
    train_alone(folder, "adaptive", sharded.name, "train.steps=8")
    assert last_state(sharded)["step"] == 8


def test_every_weight_of_both_networks_is_sharded_and_a_checkpoint_is_whole(folder):
    # Both processes assert it, or `folder` would have failed.
    assert (folder / "sharded" / "state.pt").is_file()


def test_all_ranks_resume_where_the_first_one_does(folder):
    """Their folders may be disks of several machines, of which only the first has checkpoints."""
    assert last_state(folder / "sharded" / "local-0")["step"] == 2
    assert not (folder / "sharded" / "local-1").exists()


def test_sharding_needs_several_processes(folder):
    with pytest.raises(ValueError, match="parallelism=fsdp2 needs several processes"):
        train_alone(folder, "game", "alone", FSDP2)


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp2"])
def test_images_and_clips_in_turn_neither_hang_nor_die_on_unused_weights(folder, parallelism):
    """An image leaves temporal layers without gradient; both ranks draw the same kind."""
    lines = read_metrics(folder / f"turns-{parallelism}" / "metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]


@pytest.fixture(scope="module")
def paths_of_one(folder) -> Path:
    train_alone(folder, "paths", "paths-one", "train.batch_size=4")
    return folder / "paths-one"


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp2"])
def test_two_processes_take_the_paths_of_one(folder, paths_of_one, parallelism):
    """A path not taken leaves its weights without gradient, on both ranks at the same steps."""
    two = folder / f"paths-{parallelism}"
    names = ["loss", "l1", "gradient_norm", "generator", "discriminator_loss"]
    assert_same_lines(paths_of_one, two, *names)
    lines = read_metrics(two / "metrics.jsonl")
    paths = {path for line in lines for path in ("discrete", "continuous") if f"{path}_l1" in line}
    assert paths == {"discrete", "continuous"}


def test_two_processes_take_the_rows_of_one(folder):
    """Batches of three lengths and sizes: the same row on both ranks, half of it on each."""
    doubled = [
        f"data.buckets.{number}.batch_size={2 * row['batch_size']}"
        for number, row in enumerate(ROWS)
    ]
    train_alone(folder, "rows", "rows-one", *doubled)
    names = ["loss", "l1", "gradient_norm", "generator", "discriminator_loss"]
    assert_same_lines(folder / "rows-one", folder / "rows-ddp", *names)


@pytest.mark.parametrize("config", ["kmeans", "revival"])
def test_sharded_codebooks_move_as_whole_ones_do(folder, config):
    """What the forward pass writes into a gathered codebook reaches the slices of all ranks."""
    train_alone(folder, config, f"{config}-one", "train.batch_size=4")
    names = ["loss", "l1", "commitment", "gradient_norm", "codebook_usage"]
    assert_same_lines(folder / f"{config}-ddp", folder / f"{config}-fsdp2", *names)
    for part in ("model", "ema"):
        one, whole, sharded = (
            {name: w for name, w in last_state(folder / run)[part].items() if "codebook" in name}
            for run in (f"{config}-one", f"{config}-ddp", f"{config}-fsdp2")
        )
        assert sharded
        for name, codes in sharded.items():
            torch.testing.assert_close(codes, whole[name], atol=1e-5, rtol=1e-4)
            # Two processes draw other vectors than one does, but from the same ones.
            assert codes.std().item() == pytest.approx(one[name].std().item(), rel=0.2)
