"""Metrics of fixed evaluations, and of metric classes alone, as one of several processes.

python metric_ranks.py RANK WORLD_SIZE FOLDER
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from fixed_evaluations import RANK_CASES, facts, job, write_weights
from made_extractor import MadeExtractor

from random_clips import noisy_pair
from tiny import tiny_tokenizer
from vistok import evaluate, metrics

GROUP_SIZES = (32, 2**40)  # counted one by one, and listed


def made_metrics() -> dict[str, Any]:
    """Every kind of metric class, none of which needs a file."""
    return {
        "psnr": metrics.PSNR(),
        "ssim": metrics.SSIM("wetok"),
        "rfid": metrics.RFID(MadeExtractor()),
        "kid": metrics.KID(MadeExtractor(), subset_size=100),
        "codebook_entropy": metrics.CodebookEntropy(GROUP_SIZES),
    }


def batch_of(name: str, start: int, stop: int) -> tuple[torch.Tensor, ...]:
    """Arguments of `update` for some of the samples of a fixed set."""
    if name.startswith("codebook"):
        generator = torch.Generator().manual_seed(0)
        indices = torch.randint(32, (8, 5, 2), generator=generator)
        indices[..., 1] *= 2**33
        return (indices[start:stop],)
    pair = noisy_pair(clips=8, frames=2, size=32)
    assert pair.pixels is not None
    return pair.originals[start:stop], pair.pixels[start:stop]


def values_of(shares: list[tuple[int, int]]) -> dict[str, dict[str, float]]:
    """All values of every metric, whose states get these shares of the set on this rank."""
    found = {}
    for name, metric in made_metrics().items():
        for start, stop in shares:
            metric.update(*batch_of(name, start, stop))
        # Reductions over ranks, which leave the states of this rank as they were
        found[name] = metric.compute_all() | {"computed": metric.compute().item()}
        assert found[name]["computed"] == found[name][name]
    return found


def main() -> None:
    """Score all cases as this rank and write what came out."""
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    own = folder / str(rank)
    own.mkdir()
    write_weights(own, os.environ.__setitem__, RANK_CASES)
    tiny_tokenizer().save_pretrained(own / "tokenizer")
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world_size)
    cases = {}
    for name in RANK_CASES:
        arguments = job(name, str(own / "tokenizer"))
        source, tokenizer = arguments.pop("source"), arguments.pop("tokenizer")
        cases[name] = facts(evaluate(source, tokenizer, examples=False, **arguments)[0])
    shared = values_of([(0, 3), (3, 5)] if rank == 0 else [(5, 8)])
    one_without = values_of([(0, 8)] if rank == 0 else [])
    result = {"cases": cases, "shared": shared, "one_without": one_without}
    (folder / f"{rank}.json").write_text(json.dumps(result))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
