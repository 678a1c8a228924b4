"""Running a program as one process, and as each of two, to compare what they wrote."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

RUNS = [("0", "1"), ("0", "2"), ("1", "2")]


def run_ranks(program: Path, folder: Path) -> dict[str, Any]:
    """What `program RANK WORLD_SIZE FOLDER` wrote, by `RANK-of-WORLD_SIZE`."""
    started = [
        subprocess.Popen(
            [sys.executable, str(program), *run, str(folder)], stderr=subprocess.PIPE, text=True
        )
        for run in RUNS
    ]
    for process in started:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    return {
        f"{rank}-of-{world}": torch.load(folder / f"{rank}-of-{world}.pt", weights_only=True)
        for rank, world in RUNS
    }
