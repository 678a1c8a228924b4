"""Evaluations as one of several processes, their rows written for the tests to compare.

python evaluate_ranks.py RANK WORLD_SIZE FOLDER JSON
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from vistok import evaluate


def main() -> None:
    """Run all jobs (the arguments of `evaluate`) as this rank and write what came out."""
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    jobs = json.loads(sys.argv[4])
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world_size)
    rows = [
        evaluate(job.pop("source"), job.pop("tokenizer"), examples=False, **job)[0] for job in jobs
    ]
    torch.save(rows, folder / f"{rank}-of-{world_size}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
