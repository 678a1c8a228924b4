"""metrics.jsonl: one row of plain numbers per logged step, with the same keys throughout a run.

Beside the numbers a row has the settings that changed since the row before, as `changes`: a list of
{step, key, before, after}, or null.

The progress bar shows a short form of the same row.
"""

import json
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ...eval.metrics.names import CODEBOOK_METRICS
from ...eval.metrics.psnr import psnr_from_mse
from ...output_file import dumps, finite_numbers, full_disk_named, write_text_whole
from ..config.changed_settings import ChangedSetting

# Prefixes of the metrics of one path of a dual-path tokenizer; those of all paths have none.
PATH_PREFIXES = ("", "discrete_", "continuous_")

# Of pixels in [-1, 1].
PIXEL_RANGE = 2.0


class MetricsLog:
    """Appends to a run's metrics, dropping rows that a killed run had logged after its checkpoint.

    Args:
        file: metrics.jsonl of the run.
        resume_step: the step that the run resumes from.
        changes: the settings that changed during the run.

    Attributes:
        past: the rows up to that step.
    """

    def __init__(
        self, file: Path, resume_step: int, changes: Sequence[ChangedSetting] = ()
    ) -> None:
        self.file = file
        self.changes = changes
        self.past = read_metrics(file)
        self.keep_until(resume_step)

    def keep_until(self, step: int) -> None:
        """Drop the rows of later steps."""
        self.past = [row for row in self.past if row["step"] <= step]
        self._last_step = self.past[-1]["step"] if self.past else 0
        write_text_whole(self.file, "".join(_line(row) for row in self.past))

    def write(self, row: dict[str, Any]) -> None:
        """Append one row to the file, with the settings that changed since the row before."""
        steps = range(self._last_step, row["step"])
        changes = [asdict(change) for change in self.changes if change.step in steps]
        with full_disk_named(self.file), self.file.open("a", encoding="utf-8") as file:
            file.write(_line({**row, "changes": changes or None}))
        self._last_step = row["step"]


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """Read all complete rows of a metrics file; a last line cut off by a kill is left out.

    Raises:
        ValueError: a line is not a row of metrics; names it.
    """
    if not file.exists():
        return []
    *lines, _cut_off = file.read_bytes().split(b"\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            raise ValueError(
                f"{file} is damaged: line {number} is not a row of metrics; "
                "restore the file, or delete the line"
            )
        rows.append(row)
    return rows


def _line(row: dict[str, Any]) -> str:
    return dumps(finite_numbers(row, flag_infinite=False), indent=None) + "\n"


def metrics_row(
    step: int,
    *,
    means: Mapping[str, float],
    lrs: Mapping[str, float],
    speed: Mapping[str, float],
    scores: Mapping[str, float | None],
    codebook_use: Mapping[str, float],
    skipped: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Assemble one row of metrics.jsonl.

    Args:
        step: the last step that the row covers.
        means: loss and terms, over the steps since the last row and over all ranks.
        lrs: learning rates by name.
        speed: from the ThroughputMeter.
        scores: on held-out data; None where one was not computed at this step.
        codebook_use: over the steps since the last row; empty for continuous tokenizers.
        skipped: updates that were not finite since the last row, by network.
    """
    return {
        "step": step,
        **means,
        **{
            f"{prefix}train_psnr": psnr_from_mse(means[f"{prefix}l2"], PIXEL_RANGE)
            for prefix in PATH_PREFIXES
            if f"{prefix}l2" in means
        },
        **lrs,
        **(skipped or {}),
        **speed,
        "memory_gib": peak_memory_gib(),
        **{name: codebook_use.get(name) for name in CODEBOOK_METRICS},
        **{f"eval_{name}": score for name, score in scores.items()},
    }


def progress_note(row: Mapping[str, Any]) -> str:
    """Return a short summary of a row for the progress bar."""
    held_out = row.get("eval_psnr")
    score = f" held-out {held_out:.2f} dB" if held_out is not None else ""
    speed = f"{row['samples_per_second']:.0f} samples/s"
    # All steps since the last row may have been skipped.
    psnr = f"PSNR {row['train_psnr']:.2f} dB, " if "train_psnr" in row else ""
    return f"{psnr}{speed}{score}"


def peak_memory_gib() -> float:
    """Return the peak memory of this process so far: on its accelerator, or of the machine."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
