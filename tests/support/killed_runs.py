"""Runs trained by a process of their own, which a test may signal or kill."""

import sys
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

from commands import start_process
from runs import tiny_run
from tiny import tiny_video_configs
from vistok.component import validate
from vistok.config import dump
from vistok.train.config.run_config import RunConfig
from vistok.train.run.checkpoint import checkpoints


def start(folder: Path, options: RunConfig) -> Popen:
    """Train through the command line."""
    path = folder.parent / "config.yaml"
    path.write_text(dump(options.to_tree()))
    command = [sys.executable, "-m", "vistok", "train", str(path), "--output", str(folder)]
    return start_process(command, stderr=PIPE, stdout=DEVNULL, start_new_session=True)


def long_run(steps: int, workers: int = 0) -> RunConfig:
    """A run that logs rarely, so that the time goes into steps."""
    options = tiny_run(
        steps=steps,
        keep_last=100,
        checkpoint_every_steps=20,
        log_every_steps=20,
        sample_every_steps=steps,
    )
    evaluation = options.eval.model_copy(update={"every_steps": steps})
    data = options.data.model_copy(update={"workers": workers})
    return options.model_copy(update={"eval": evaluation, "data": data})


def everything_at_once() -> RunConfig:
    """Rows of clips and images, a discriminator, moving codebooks, accumulation."""
    encoder, decoder = tiny_video_configs()
    vq = {"kind": "vq", "codebook_size": 16, "codebook_dim": 4, "update": "ema"}
    vq |= {"kmeans_init": True, "dead_code_threshold": 0.1}
    return validate(
        RunConfig,
        {
            "model": {"encoder": encoder, "bottleneck": vq, "decoder": decoder},
            "data": {
                "source": "samples:train",
                "size": 32,
                "frames": 5,
                "buckets": [
                    {},
                    {"frames": 9, "size": 16, "batch_size": 1},
                    {"frames": 1, "share": 2, "batch_size": 3},
                ],
                "workers": 2,
            },
            "train": {
                "steps": 12,
                "batch_size": 2,
                "accumulation_steps": 2,
                "checkpoint_every_steps": 2,
                "keep_last": 100,
                "gradient_checkpointing": True,
                "losses": {
                    "adversarial_weight": 0.1,
                    "temporal_difference_weight": 0.1,
                    "learn_logvar": True,
                },
                "adversarial": {
                    "discriminator": {
                        "kind": "patchgan",
                        "base_channels": 8,
                        "num_layers": 2,
                        "norm": "group",
                        "spectral_norm": True,
                    },
                    "adaptive": True,
                    "start_step": 5,
                    "discriminator_start_step": 3,
                    "warmup_steps": 4,
                    "updates_per_step": 2,
                    "lecam_form": "mean_logit",
                    "optimizer": {"kind": "adam", "betas": [0.5, 0.9], "weight_decay": 0.01},
                    "grad_clip_norm": 0.5,
                    "r1_weight": 1.0,
                    "r1_every_steps": 2,
                },
            },
        },
    )


def wait_for_checkpoint(folder: Path, process: Popen) -> None:
    deadline = time.monotonic() + 120
    while not (folder / "checkpoints").is_dir() or not checkpoints(folder / "checkpoints"):
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        assert time.monotonic() < deadline, "no checkpoint within two minutes"
        time.sleep(0.01)
