"""metrics.jsonl: one line of plain numbers per logged step, the same keys all through a run.

The progress bar shows a short form of the same line.
"""

import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...eval.metrics.catalog import CODEBOOK_METRICS
from ...output_file import dumps, finite_numbers, write_text_whole
from ..losses.generator import training_psnr

# Before the names of figures of one path of a dual-path tokenizer; those of all have no prefix.
PATHS = ("", "discrete_", "continuous_")


class MetricsLog:
    """Appends to a run's metrics, dropping what a killed run had logged beyond its checkpoint.

    Args:
        path: the file.
        resume_step: the step that the run goes on from.

    Attributes:
        past: the lines up to that step.
    """

    def __init__(self, path: Path, resume_step: int) -> None:
        self.path = path
        self.past = [entry for entry in read_metrics(path) if entry["step"] <= resume_step]
        write_text_whole(path, "".join(_line(entry) for entry in self.past))

    def write(self, entry: dict[str, Any]) -> None:
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(entry))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Every whole line of a metrics file; a line cut off by a kill is left out."""
    if not path.exists():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return entries


def _line(entry: dict[str, Any]) -> str:
    return dumps(finite_numbers(entry, flag_infinite=False), indent=None) + "\n"


def metrics_row(
    step: int,
    *,
    means: Mapping[str, float],
    lrs: Mapping[str, float],
    speed: Mapping[str, float],
    scores: Mapping[str, float | None],
    codebook_use: Mapping[str, float],
) -> dict[str, Any]:
    """Assemble one row of metrics.jsonl.

    Args:
        step: the last step that the row covers.
        means: loss and terms, over the steps since the last row and over all ranks.
        lrs: learning rates by name.
        speed: from the ThroughputMeter.
        scores: on held-out data; None where one was not computed at this step.
        codebook_use: over the steps since the last row; empty for continuous tokenizers.
    """
    return {
        "step": step,
        **means,
        **{
            f"{path}train_psnr": _psnr(means[f"{path}l2"]) for path in PATHS if f"{path}l2" in means
        },
        **lrs,
        **speed,
        "memory_gib": peak_memory_gib(),
        **{name: codebook_use.get(name) for name in CODEBOOK_METRICS},
        **{f"eval_{name}": score for name, score in scores.items()},
    }


def _psnr(l2: float) -> float:
    return training_psnr(torch.tensor(l2)).item()


def progress_note(entry: Mapping[str, Any]) -> str:
    """What somebody who watches wants to know."""
    held_out = entry.get("eval_psnr")
    score = f" held-out {held_out:.2f} dB" if held_out is not None else ""
    return f"PSNR {entry['train_psnr']:.2f} dB, {entry['samples_per_second']:.0f} samples/s{score}"


def peak_memory_gib() -> float:
    """Most memory this process has held so far: of its accelerator, or of the machine."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
