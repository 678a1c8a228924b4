"""One line of metrics.jsonl, and its short form beside the progress bar."""

import resource
import sys
from collections.abc import Mapping
from typing import Any

import torch

from ...eval.metrics.codebook_metrics import CODEBOOK_METRICS
from ..losses.generator import training_psnr

# Before the names of figures of one path of a dual-path tokenizer; those of all have no prefix.
PATHS = ("", "discrete_", "continuous_")


def log_entry(
    step: int,
    means: Mapping[str, float],
    rates: Mapping[str, float],
    speed: Mapping[str, float],
    scores: Mapping[str, float | None],
    use: Mapping[str, float],
) -> dict[str, Any]:
    """One line of metrics.jsonl.

    Args:
        step: the last one the line speaks of.
        means: loss and terms, over the steps since the last line and over all ranks.
        rates: learning rates.
        speed: of the ThroughputClock.
        scores: on held-out data; None where one was not taken at this step.
        use: of the codebooks, over the steps since the last line.
    """
    return {
        "step": step,
        **means,
        **{
            f"{path}train_psnr": _psnr(means[f"{path}l2"]) for path in PATHS if f"{path}l2" in means
        },
        **rates,
        **speed,
        "memory_gib": peak_memory_gib(),
        # null when continuous
        **{name: use.get(name) for name in CODEBOOK_METRICS},
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
