"""Running a program alone, and as each of two processes, to compare what they wrote."""

import runpy
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Any
from unittest.mock import patch

import torch

from commands import start_process


def run_ranks(program: Path, folder: Path) -> dict[str, Any]:
    """What `program RANK WORLD_SIZE FOLDER` wrote, by `RANK-of-WORLD_SIZE`."""
    started = [
        start_process([sys.executable, program, rank, 2, folder], stderr=PIPE, text=True)
        for rank in (0, 1)
    ]
    with patch.object(sys, "argv", [str(program), "0", "1", str(folder)]):
        runpy.run_path(str(program), run_name="__main__")
    for process in started:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    return {
        name: torch.load(folder / f"{name}.pt", weights_only=True)
        for name in ("0-of-1", "0-of-2", "1-of-2")
    }
