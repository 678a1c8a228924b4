"""A few steps of a sharded run: what the ranks hold, and that a checkpoint goes round."""

from pathlib import Path

import torch
from accelerate import Accelerator
from torch.distributed.tensor import DTensor

from vistok.train.config.files import load_run_config
from vistok.train.losses.discriminator import discriminator_objective
from vistok.train.losses.generator import generator_objective
from vistok.train.run.finite_check import Guard
from vistok.train.run.run_folder import RunFolder
from vistok.train.run_state import build_run_state


def look_into(path: Path, output: Path) -> None:
    """Assert as every rank what is true of a sharded run of a config."""
    config, folder = load_run_config(str(path)), RunFolder(output)
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    state = build_run_state(config, accelerator, None, resumes=False)
    assert state.judge is not None
    assert state.adversary is not None
    for player in (state.generator, state.judge):
        assert all(isinstance(weight, DTensor) for weight in player.network.parameters())
    guard = Guard(accelerator, folder, 1.0)
    for step in range(3):
        pixels = torch.rand(2, 3, 1, 32, 32) * 2 - 1
        output = state.generator.model(pixels)
        assert not isinstance(state.last_layer, DTensor), "gathered until its gradients are known"
        objective = generator_objective(
            output, pixels, config.train.losses, step, None, state.adversary, state.last_layer
        )
        assert objective.terms["adversarial_weight"] > 0
        state.generator.learn(objective, step, guard)
        state.judge.optimizer.zero_grad()
        objective = discriminator_objective(
            state.judge.model, pixels, output.pixels, state.adversary, step
        )
        state.judge.learn(objective, step, guard)
        state.ema.update(state.tokenizer)
    kept = state.collect(accelerator)
    if accelerator.is_main_process:
        assert not any(isinstance(weight, DTensor) for weight in kept["model"].values())
        torch.save(kept, folder.root / "state.pt")
    accelerator.wait_for_everyone()
    state.load(torch.load(folder.root / "state.pt", weights_only=True), accelerator)
    again = state.collect(accelerator)
    for part in ("model", "ema", "discriminator") if accelerator.is_main_process else ():
        assert all(torch.equal(kept[part][name], again[part][name]) for name in kept[part])
