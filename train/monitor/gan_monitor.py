"""GANMonitor: says aloud when the discriminator costs more than it should."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

log = logging.getLogger(__name__)

TOLERATED_DB = 1.0


class GANMonitor:
    """Compares the training PSNR after the adversary's start with the best one before it.

    The paths of a dual-path tokenizer are compared each with itself.

    Args:
        start_step: steps before the adversary counts.
        past: lines of the log before this start.
    """

    def __init__(self, start_step: int, past: Iterable[Mapping[str, Any]] = ()) -> None:
        self.start_step = start_step
        self.before: dict[str, float] = {}
        self._warned = False
        for entry in past:
            for name in _compared(entry):
                self._remember(name, entry)

    def look(self, entry: Mapping[str, Any]) -> None:
        """Take notice of a line of the log; warn once."""
        for name in _compared(entry):
            self._remember(name, entry)
            loss = self.before[name] - entry[name]
            if loss > TOLERATED_DB and entry["step"] > self.start_step and not self._warned:
                self._warned = True
                log.warning(
                    "the discriminator has driven PSNR down by %.1f dB since its start (%s %.2f dB "
                    "now, step %d): lower train.losses.adversarial_weight, raise "
                    "train.adversarial.start_step, or set train.adversarial.warmup_steps",
                    loss,
                    name,
                    entry[name],
                    entry["step"],
                )

    def _remember(self, name: str, entry: Mapping[str, Any]) -> None:
        """The best before the start, or the first of all where the adversary plays from step 1."""
        if entry["step"] <= self.start_step or name not in self.before:
            self.before[name] = max(entry[name], self.before.get(name, entry[name]))


def _compared(entry: Mapping[str, Any]) -> list[str]:
    """The training PSNR, or that of every path: their mean moves with the paths that were taken."""
    names = [name for name in entry if name.endswith("train_psnr")]
    return names if len(names) == 1 else [name for name in names if name != "train_psnr"]
