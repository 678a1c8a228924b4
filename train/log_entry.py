"""One line of metrics.jsonl, and its short form beside the progress bar."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..eval.codebook_metrics import CODEBOOK_METRICS
from .objective import Objective, training_psnr


def log_entry(
    step: int,
    objectives: Sequence[Objective],
    norm: float,
    lr: float,
    speed: Mapping[str, float],
    scores: Mapping[str, float],
    use: Mapping[str, float],
) -> dict[str, Any]:
    """One line of metrics.jsonl; a score that was not taken at this step is null."""
    terms = {
        name: torch.stack([objective.terms[name] for objective in objectives]).mean()
        for name in objectives[0].terms
    }
    return {
        "step": step,
        "loss": torch.stack([objective.loss for objective in objectives]).mean().item(),
        **{name: value.item() for name, value in terms.items()},
        "train_psnr": training_psnr(terms["l2"]).item(),
        "lr": lr,
        "gradient_norm": float(norm),
        **speed,
        "eval_psnr": scores.get("psnr"),
        "eval_ssim": scores.get("ssim"),
        # over the batches since the last line, and over the held-out data; null when continuous
        **{name: use.get(name) for name in CODEBOOK_METRICS},
        **{f"eval_{name}": scores.get(name) for name in CODEBOOK_METRICS},
    }


def progress_note(entry: Mapping[str, Any]) -> str:
    """What somebody who watches wants to know."""
    held_out = entry["eval_psnr"]
    score = f" held-out {held_out:.2f} dB" if held_out is not None else ""
    return f"PSNR {entry['train_psnr']:.2f} dB, {entry['samples_per_second']:.0f} samples/s{score}"
