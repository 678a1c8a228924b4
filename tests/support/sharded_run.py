"""A few steps of a sharded run: what the ranks hold, and that a checkpoint goes round."""

from pathlib import Path

import torch
from accelerate import Accelerator
from torch.distributed.tensor import DTensor

from vistok import VQ
from vistok.train.build_state import build_run_state
from vistok.train.config.files import load_run_config
from vistok.train.losses.discriminator import discriminator_objective
from vistok.train.losses.generator import Objective, generator_objective
from vistok.train.run.finite_check import clip_grad_norm
from vistok.train.run.run_folder import RunFolder
from vistok.train.run_state import RunState


def skip_a_step(state: RunState) -> None:
    """Assert that a forward pass moves the slices of a codebook, and a skipped step undoes it."""
    quantizer = state.tokenizer.quantizer
    assert isinstance(quantizer, VQ)
    assert isinstance(quantizer.codebook, DTensor)
    before = quantizer.codebook.full_tensor().detach().clone()
    state.finite.begin()
    output = state.model(torch.rand(2, 3, 1, 32, 32) * 2 - 1)
    objective = Objective(output.pixels.mean() + output.loss, {})
    state.finite.add(objective, output)
    objective.loss.backward()
    state.optimizer.zero_grad()
    assert quantizer.started
    assert not torch.equal(quantizer.codebook.full_tensor(), before)
    assert not state.finite.passes(torch.tensor(torch.nan), 1)
    assert not quantizer.started
    assert torch.equal(quantizer.codebook.full_tensor(), before)


def look_into(path: Path, folder: Path) -> None:
    """Assert as every rank what is true of a sharded run of a config."""
    config = load_run_config(str(path))
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    state = build_run_state(config, accelerator, RunFolder(folder), None, resumes=False)
    assert state.discriminator is not None
    gan = state.discriminator.gan
    for network in (state.tokenizer, gan.discriminator):
        assert all(isinstance(weight, DTensor) for weight in network.parameters())
    skip_a_step(state)
    for step in range(3):
        pixels = torch.rand(2, 3, 1, 32, 32) * 2 - 1
        output = state.model(pixels)
        assert not isinstance(state.last_layer, DTensor), "gathered until its gradients are known"
        objective = generator_objective(
            output, pixels, config.train.losses, step=step, gan=gan, last_layer=state.last_layer
        )
        assert objective.terms["adversarial_weight"] > 0
        accelerator.backward(objective.loss)
        assert clip_grad_norm(state.tokenizer, 1.0) > 0
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.discriminator.optimizer.zero_grad()
        objective = discriminator_objective(
            state.discriminator.model, pixels, output.pixels, gan=gan, step=step
        )
        accelerator.backward(objective.loss)
        assert clip_grad_norm(gan.discriminator, 1.0) > 0
        state.discriminator.optimizer.step()
        state.discriminator.optimizer.zero_grad()
        state.ema.update(state.tokenizer)
    kept = state.state_dict(accelerator)
    if accelerator.is_main_process:
        assert not any(isinstance(weight, DTensor) for weight in kept["model"].values())
        torch.save(kept, folder / "state.pt")
    accelerator.wait_for_everyone()
    state.load_state_dict(torch.load(folder / "state.pt", weights_only=True), accelerator)
    again = state.state_dict(accelerator)
    for part in ("model", "ema", "discriminator") if accelerator.is_main_process else ():
        assert all(torch.equal(kept[part][name], again[part][name]) for name in kept[part])
