"""Training runs small enough for a test, and what their checkpoints hold."""

from pathlib import Path

import torch
from torch.utils._pytree import keystr, tree_flatten_with_path

from tiny import tiny_image_configs
from vistok.component import validate
from vistok.train.config.run_config import RunConfig
from vistok.train.run.checkpoint import checkpoints, load_checkpoint


def tiny_run(
    bottleneck: dict | None = None, *, network: dict | None = None, **train_options
) -> RunConfig:
    """Six steps on pictures, with held-out ones and everything written along the way.

    `network` is encoder and decoder in one, where a test wants less than the tiny ones.
    """
    encoder, decoder = (network, network) if network else tiny_image_configs()
    model = {"encoder": encoder, "bottleneck": bottleneck or {"kind": "fsq"}, "decoder": decoder}
    options = {
        "steps": 6,
        "batch_size": 2,
        "lr": 1e-3,
        "warmup_steps": 2,
        "checkpoint_every_steps": 2,
        "log_every_steps": 1,
        "sample_every_steps": 3,
        "latent_statistics_samples": 4,
        **train_options,
    }
    return validate(
        RunConfig,
        {
            "model": model,
            "data": {"source": "samples:train", "size": 32, "workers": 0},
            "train": options,
            "eval": {"source": "samples:heldout", "size": 64, "every_steps": 3, "limit": 2},
        },
    )


def last_state(folder: Path) -> dict:
    """The newest checkpoint of a run."""
    return load_checkpoint(checkpoints(folder / "checkpoints")[-1])


def assert_same_state(a: Path, b: Path) -> None:
    """Weights, optimizers, averages: every tensor bit for bit, every number."""
    ours, theirs = (
        {keystr(path): leaf for path, leaf in tree_flatten_with_path(last_state(folder))[0]}
        for folder in (a, b)
    )
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        other = theirs[name]
        same = torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other
        assert same, name
