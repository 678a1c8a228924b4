"""What two processes make of the game against a discriminator, for the tests to compare.

python two_rank_game.py RANK WORLD_SIZE FOLDER
"""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from tiny import tiny_tokenizer
from vistok.component import validate
from vistok.train.losses.discriminator import discriminator_objective
from vistok.train.losses.gan import build_gan
from vistok.train.losses.generator import generator_objective
from vistok.train.losses.options import Adversarial, Losses
from vistok.train.losses.pixel_likelihood import PixelLikelihood

STEPS = 3
CPU = torch.device("cpu")


def options(norm: str, **more: Any) -> Adversarial:
    discriminator = {"kind": "patchgan", "base_channels": 8, "num_layers": 1, "norm": norm}
    return validate(Adversarial, {"discriminator": discriminator, **more})


def play(rank: int, world_size: int, sharded: bool, form: str = "per_logit") -> dict[str, Any]:
    """The discriminator's gradients after both passes of the last step, and what was averaged."""
    torch.manual_seed(0)
    # Group norm, so that half of the batch is normalised as it is within the whole.
    rules = {"adaptive": True, "r1_weight": 1.0, "r1_every_steps": 1, "start_step": 1}
    gan = build_gan(options("group", lecam_form=form, **rules), CPU)
    likelihood = PixelLikelihood(0.0, (0.9, 0.99), CPU)
    tokenizer = tiny_tokenizer("image", {"kind": "plain"}).train()
    discriminator: torch.nn.Module = gan.discriminator
    if sharded:
        fully_shard(discriminator, mesh=init_device_mesh("cpu", (world_size,)))
        assert all(isinstance(p, DTensor) for p in discriminator.parameters())
    elif world_size > 1:
        discriminator = DistributedDataParallel(discriminator)
    adversarial_weights = []
    for step in range(STEPS):
        pixels = torch.randn(4, 3, 1, 16, 16, generator=torch.Generator().manual_seed(step))
        pixels = pixels[rank * 4 // world_size : (rank + 1) * 4 // world_size]
        output = tokenizer(pixels)
        losses = validate(Losses, {"adversarial_weight": 1.0, "learn_logvar": True})
        played = generator_objective(
            output,
            pixels,
            losses,
            step=step,
            gan=gan,
            last_layer=tokenizer.get_parameter("decoder.conv_out.weight"),
            likelihood=likelihood,
        )
        played.loss.backward()
        adversarial_weights.append(played.terms["adversarial_weight"])
        likelihood.step(1e-2)
        discriminator.zero_grad()
        judged = discriminator_objective(discriminator, pixels, output.pixels, gan=gan, step=step)
        if judged.loss.requires_grad:
            judged.loss.backward()
    results: dict[str, Any] = {
        f"lecam.{name}": value for name, value in gan.lecam.state_dict().items()
    }
    results["logvar"] = likelihood.logvar.detach()
    results["adversarial_weight"] = adversarial_weights[-1]
    for name, parameter in gan.discriminator.named_parameters():
        gradient = parameter.grad
        results[name] = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
    return results


def unavailable_reason() -> str:
    """What is said about statistics over all ranks on this machine."""
    try:
        build_gan(options("sync_batch"), CPU)
    except ValueError as error:
        return str(error)
    return ""


def main() -> None:
    """Play as this rank and write what came out."""
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    if world_size > 1:
        meeting = f"file://{folder / 'meeting'}"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world_size)
    results: dict[str, Any] = {
        "replicated": play(rank, world_size, sharded=False),
        "mean_logit": play(rank, world_size, sharded=False, form="mean_logit"),
        "refusal": unavailable_reason(),
    }
    if world_size > 1:
        results["sharded"] = play(rank, world_size, sharded=True)
    torch.save(results, folder / f"{rank}-of-{world_size}.pt")
    if world_size > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
