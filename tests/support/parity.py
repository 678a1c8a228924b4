"""Cases of the reference systems: a JSON sidecar and the tensors beside it.

They are found by what they hold, never by file name.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

BUNDLED = Path(__file__).parents[1] / "parity" / "cases"


def cases_folder(external: Path) -> Path:
    """Return the external folder of cases, or the bundled ones where it is absent."""
    return external if external.is_dir() else BUNDLED


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        path: of its tensors.
        sidecar: what its JSON says.
        tensors: inputs, weights and answers.
    """

    path: Path
    sidecar: dict[str, Any]
    tensors: dict[str, torch.Tensor]

    def weights(self, prefix: str = "sd.") -> dict[str, torch.Tensor]:
        """Tensors below a prefix, without it."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def find_cases(folder: Path, wanted: Callable[[Case], bool]) -> Iterator[Case]:
    """Every case in a folder that answers a question; skips the test where there is none."""
    found = False
    for path in sorted(folder.glob("*.json")):
        tensors = path.with_suffix(".safetensors")
        if not tensors.exists():
            continue
        case = Case(tensors, json.loads(path.read_text()), load_file(tensors))
        if wanted(case):
            found = True
            yield case
    if not found:
        pytest.skip(f"no case of this kind in {folder}")
