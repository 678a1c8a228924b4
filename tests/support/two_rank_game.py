"""What two processes make of the discriminator's objective, for the tests to compare.

python two_rank_game.py RANK WORLD_SIZE FOLDER
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from vistok.component import validate
from vistok.train.adversary import build_adversary
from vistok.train.discriminator_objective import discriminator_objective
from vistok.train.loss_options import Adversarial

STEPS = 2
CPU = torch.device("cpu")


def options(norm: str) -> Adversarial:
    # Group norm, so that a half of the batch is normalised as it is within the whole.
    discriminator = {"kind": "patchgan", "base_channels": 8, "num_layers": 1, "norm": norm}
    return validate(Adversarial, {"discriminator": discriminator, "r1_weight": 1.0})


def play(rank: int, world_size: int) -> dict[str, torch.Tensor]:
    """The last step's gradients, as data parallel training averages them, and LeCam's averages."""
    torch.manual_seed(0)
    adversary = build_adversary(options("group"), CPU)
    discriminator: torch.nn.Module = adversary.discriminator
    if world_size > 1:
        discriminator = DistributedDataParallel(discriminator)
    for step in range(STEPS):
        generator = torch.Generator().manual_seed(step)
        pixels, fakes = torch.randn(2, 4, 3, 1, 12, 12, generator=generator)
        share = slice(rank * 4 // world_size, (rank + 1) * 4 // world_size)
        discriminator.zero_grad()
        step = 16 * step  # R1 is computed at every one of them
        objective = discriminator_objective(
            discriminator, pixels[share], fakes[share], adversary, step
        )
        objective.loss.backward()
    gradients = {
        name: parameter.grad
        for name, parameter in adversary.discriminator.named_parameters()
        if parameter.grad is not None
    }
    averages = {f"lecam.{name}": value for name, value in adversary.lecam.state_dict().items()}
    return gradients | averages


def main() -> None:
    """Play as this rank and write what came out."""
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    if world_size > 1:
        meeting = f"file://{folder / 'meeting'}"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world_size)
    results = play(rank, world_size)
    try:
        build_adversary(options("batch").model_copy(update=sync_batch()), CPU)
        refusal = ""
    except ValueError as error:
        refusal = str(error)
    torch.save((results, refusal), folder / f"{rank}-of-{world_size}.pt")
    if world_size > 1:
        dist.destroy_process_group()


def sync_batch() -> dict:
    """Statistics over all ranks, without the penalty that cannot be had with them."""
    plain = {"discriminator": {"kind": "patchgan", "norm": "sync_batch"}}
    return {"discriminator": validate(Adversarial, plain).discriminator}


if __name__ == "__main__":
    main()
