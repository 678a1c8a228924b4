"""What the training loop costs: `python benchmarks/train.py [--output FILE] [--only WORDS]`.

The same networks, losses and data are trained by `vistok train` and by a bare PyTorch loop
(forward, backward, clip, step, torch's moving average; no accelerate, no log), in turn, in one run.
Time per step is that of the second half of a run, checkpoints not counted. Memory is the peak of a
process of its own above what it held before training. With a GPU the configs are trained at their
own size, and bf16 with compiled networks is set against fp32 eager.
"""

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peak_memory import peak_bytes
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vistok.data.pixels import to_pixels
from vistok.train.config.files import load_run_config
from vistok.train.config.run_config import RunConfig
from vistok.train.loop import train
from vistok.train.losses.discriminator import discriminator_objective
from vistok.train.losses.gan import build_gan
from vistok.train.losses.generator import generator_objective
from vistok.train.monitor.metrics_log import read_metrics
from vistok.train.run.training_data import open_training_data

ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if ON_GPU else "cpu")

# On CPUs the configs are trained on smaller crops.
SMALL = {
    "image_fsq_f8": ("data.size=64", "train.batch_size=4"),
    "video_fsq_4x8x8": ("data.size=64", "data.frames=5", "train.batch_size=1"),
}
GAME = (
    "train.losses.adversarial_weight=0.1",
    "train.adversarial.discriminator={kind: patchgan, base_channels: 64}",
)
PLAIN = ("train.losses.adversarial_weight=0",)


@dataclass(frozen=True)
class Case:
    """A shipped config with overrides."""

    name: str
    overrides: tuple[str, ...]

    def config(self, steps: int) -> RunConfig:
        """A run of twice as many steps; it logs half-way and at its end, and saves then."""
        rare = [f"train.{name}_every_steps={10**9}" for name in ("sample", "checkpoint")]
        rare.append(f"train.log_every_steps={steps}")
        size = () if ON_GPU else SMALL[self.name]
        source = "samples:videos" if self.name.startswith("video") else "samples:train"
        common = [f"data.source={source}", "eval.source=null", "data.workers=0", *rare]
        common += ["data.cache_files=64", "train.trackers=[]", f"train.steps={2 * steps}"]
        return load_run_config(self.name, [*common, *size, *self.overrides])


def bare_loop(config: RunConfig) -> float:
    """Seconds per step of the same training without everything around it."""
    torch.manual_seed(config.train.seed)
    data = open_training_data(config.data, config.train)
    tokenizer: Any = config.build_tokenizer()
    tokenizer.to(DEVICE).train()
    optimizer = torch.optim.AdamW(tokenizer.parameters(), lr=config.train.lr)
    gan = gan_optimizer = None
    if config.train.losses.adversarial_weight:
        gan = build_gan(config.train.adversarial, DEVICE)
        gan_optimizer = torch.optim.AdamW(gan.discriminator.parameters(), config.train.lr)
    average = AveragedModel(tokenizer, multi_avg_fn=get_ema_multi_avg_fn(config.train.ema_decay))
    losses, limit = config.train.losses, config.train.grad_clip_norm or math.inf
    start, measured = 0.0, config.train.steps // 2
    for step, clips in enumerate(data.batches()):
        if step == measured:
            start = now()
        pixels = to_pixels(clips.to(DEVICE))
        output = tokenizer(pixels)
        last = tokenizer.decoder.conv_out.weight
        objective = generator_objective(output, pixels, losses, step=step, gan=gan, last_layer=last)
        objective.loss.backward()
        torch.nn.utils.clip_grad_norm_(tokenizer.parameters(), limit)
        optimizer.step()
        optimizer.zero_grad()
        if gan is not None and gan_optimizer is not None:
            network = gan.discriminator
            objective = discriminator_objective(network, pixels, output.pixels, gan=gan, step=step)
            objective.loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), limit)
            gan_optimizer.step()
            gan_optimizer.zero_grad()
        average.update_parameters(tokenizer)
    return (now() - start) / measured


def vistok_loop(config: RunConfig) -> float:
    """Seconds per step of the product's loop."""
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run", show_progress=False)
        last = read_metrics(Path(folder) / "run" / "metrics.jsonl")[-1]
    return config.train.batch_size * config.train.accumulation_steps / last["samples_per_second"]


def now() -> float:
    """The time when everything before it is done."""
    if ON_GPU:
        torch.cuda.synchronize()
    return time.perf_counter()


LOOPS = {"vistok": vistok_loop, "bare": bare_loop}


def step_seconds(case: Case, steps: int, rounds: int, loops: tuple[str, ...]) -> dict[str, float]:
    """Median seconds per step of each loop, taken in turn."""
    taken: dict[str, list[float]] = {loop: [] for loop in loops}
    for _ in range(rounds):
        for loop in loops:
            taken[loop].append(LOOPS[loop](case.config(steps)))
    return {loop: statistics.median(values) for loop, values in taken.items()}


def peak_mib(case: Case) -> float:
    """Peak memory of training in a process of its own, in MiB."""
    command = [sys.executable, __file__, "--memory", json.dumps([case.name, case.overrides])]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_of(name: str, overrides: list[str]) -> float:
    """The work behind `peak_mib`."""
    before = peak_bytes()
    vistok_loop(Case(name, tuple(overrides)).config(1))
    if ON_GPU:
        return torch.cuda.max_memory_allocated() / 2**20
    return (peak_bytes() - before) / 2**20


def overheads(steps: int, rounds: int, only: str) -> Iterator[tuple[str, str]]:
    """The loop against a bare one."""
    for name in SMALL:
        for title, game in (("", PLAIN), (" with a discriminator", GAME)):
            if only not in f"{name}{title}":
                continue
            case = Case(name, game)
            taken = step_seconds(case, steps, rounds, ("bare", "vistok"))
            share = taken["vistok"] / taken["bare"] - 1
            samples = case.config(1).train.batch_size / taken["vistok"]
            yield (
                f"{name}{title}",
                f"{samples:.2f} samples/s, {share:+.1%} time of a bare loop, "
                f"{peak_mib(case):.0f} MiB",
            )


def trade_offs(steps: int, rounds: int, only: str) -> Iterator[tuple[str, str]]:
    """Memory against time."""
    name = "image_fsq_f8"
    batch = load_run_config(name, ["data.source=x"]).train.batch_size if ON_GPU else 4
    ways = {
        f"batch of {batch}": (f"train.batch_size={batch}",),
        f"batch of 1, {batch} times accumulated": (
            "train.batch_size=1",
            f"train.accumulation_steps={batch}",
        ),
        f"batch of {batch}, gradient checkpointing": (
            f"train.batch_size={batch}",
            "train.gradient_checkpointing=true",
        ),
    }
    fast = ("train.mixed_precision=bf16", "train.compile=true")
    ways["compiled"] = fast[1:]
    if ON_GPU:
        ways |= {"bf16": fast[:1], "bf16, compiled": fast}
    for title, overrides in ways.items():
        if only not in f"{name}: {title}":
            continue
        case = Case(name, (*PLAIN, *overrides))
        taken = step_seconds(case, steps, rounds, ("vistok",))["vistok"]
        yield f"{name}: {title}", f"{taken:.2f} s per step, {peak_mib(case):.0f} MiB"


def main() -> None:
    """Print a table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose name holds these words")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(json.dumps(memory_of(*json.loads(arguments.memory))))
        return
    device = torch.cuda.get_device_name() if ON_GPU else platform.processor() or platform.machine()
    lines = [
        "# Training: time and memory of the loop",
        "",
        f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}; written by "
        "`benchmarks/train.py`. On CPUs the crops are small: "
        + "; ".join(f"{name} {', '.join(size)}" for name, size in SMALL.items())
        + ".",
        "",
        "| what | figure |",
        "|---|---|",
    ]
    for part in (overheads, trade_offs):
        for label, figure in part(arguments.steps, arguments.rounds, arguments.only):
            lines.append(f"| {label} | {figure} |")
            print(f"{label:<56} {figure}", flush=True)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
