"""What two processes compute of one global batch, written to a folder for the tests to compare.

python two_ranks.py RANK WORLD_SIZE FOLDER
"""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from vistok import GQ, IBQ, VQ, CodeStatistics

STEPS = 50
VECTORS = 64  # per rank and step, of a world of two


def share(rank: int, world_size: int, step: int, dim: int) -> torch.Tensor:
    """This rank's half of the step's global batch; all of it for a single rank."""
    generator = torch.Generator().manual_seed(step)
    batch = torch.randn(2 * VECTORS, dim, generator=generator)
    return batch.chunk(world_size)[rank]


def followed_codebooks(rank: int, world_size: int) -> dict[str, Any]:
    """Codebooks after many steps that move them without a gradient."""
    options = {"codebook_size": 16, "codebook_dim": 4, "update": "ema"}
    plain = VQ(**options)
    with torch.no_grad():
        codes = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
        plain.codebook.copy_(codes)
        plain.ema_sums.copy_(codes)
    torch.manual_seed(rank)  # random numbers differ between ranks, as in training
    random = VQ(**options, kmeans_init=True, dead_code_threshold=0.3)
    for step in range(STEPS):
        x = share(rank, world_size, step, 4)
        plain(x)
        random(x + step)  # data that moves away leaves codes dead
    return {"plain": plain.state_dict(), "random": random.state_dict()}


def entropies(rank: int, world_size: int) -> dict[str, Any]:
    """Terms of the global batch, and gradients as data parallel training averages them."""
    out = {}
    torch.manual_seed(0)
    for name, quantizer in (
        ("gq", GQ(num_groups=2, bits_per_group=4, temperature=1.0)),
        ("ibq", IBQ(codebook_size=16, codebook_dim=8, temperature=1.0)),
    ):
        weight = (torch.eye(8) + 0.1).requires_grad_()
        result = quantizer(share(rank, world_size, 0, 8) @ weight)
        result.terms["codebook_entropy"].backward()
        gradient = weight.grad
        assert gradient is not None
        if world_size > 1:
            dist.all_reduce(gradient)
        out[name] = (result.terms["codebook_entropy"].detach(), gradient / world_size)
    return out


def statistics(rank: int, world_size: int) -> list[Any]:
    """Use of a dense and of a sparse codebook over the global batch."""
    values = (share(rank, world_size, 0, 2) * 1000).long().abs()
    counts = CodeStatistics((2**16, 2**40))
    counts.add(values, num_pixels=64 * len(values))
    use = counts.over_all_ranks().use()
    return [use.usage, use.entropy, use.effective_bits_per_pixel]


def main() -> None:
    """Compute as this rank and write what came out."""
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    if world_size > 1:
        meeting = f"file://{folder / 'meeting'}"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world_size)
    results = {
        "codebooks": followed_codebooks(rank, world_size),
        "entropies": entropies(rank, world_size),
        "statistics": statistics(rank, world_size),
    }
    torch.save(results, folder / f"{rank}-of-{world_size}.pt")
    if world_size > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
