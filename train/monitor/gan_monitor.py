"""GANMonitor: warn once when PSNR drops after the discriminator starts."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

log = logging.getLogger(__name__)

TOLERATED_DB = 1.0


class GANMonitor:
    """Compare the training PSNR after the discriminator's start with the best one before it.

    Each path of a dual-path tokenizer is compared with itself.

    Args:
        start_step: last step before the discriminator counts.
        past: rows of metrics.jsonl from before this start of the run.
    """

    def __init__(self, start_step: int, past: Iterable[Mapping[str, Any]] = ()) -> None:
        self.start_step = start_step
        self.before: dict[str, float] = {}
        self._warned = False
        for row in past:
            for name in _psnr_names(row):
                self._remember(name, row)

    def update(self, row: Mapping[str, Any]) -> None:
        """Take in one row of metrics.jsonl; warn at the first drop beyond the tolerance."""
        for name in _psnr_names(row):
            self._remember(name, row)
            drop = self.before[name] - row[name]
            if drop > TOLERATED_DB and row["step"] > self.start_step and not self._warned:
                self._warned = True
                log.warning(
                    "the discriminator has driven PSNR down by %.1f dB since its start (%s %.2f dB "
                    "now, step %d): lower train.losses.adversarial_weight, raise "
                    "train.adversarial.start_step, or set train.adversarial.warmup_steps",
                    drop,
                    name,
                    row[name],
                    row["step"],
                )

    def _remember(self, name: str, row: Mapping[str, Any]) -> None:
        """Keep the best value before the start, or the first one if the start is at step 1."""
        if row["step"] <= self.start_step or name not in self.before:
            self.before[name] = max(row[name], self.before.get(name, row[name]))


def _psnr_names(row: Mapping[str, Any]) -> list[str]:
    """Return the training PSNR, or that of every path: their mean depends on the paths taken."""
    names = [name for name in row if name.endswith("train_psnr")]
    return names if len(names) == 1 else [name for name in names if name != "train_psnr"]
