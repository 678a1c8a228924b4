"""Graceful shutdown on SIGTERM and SIGUSR1: the run saves after the current step and exits.

Before the first step and after the last checkpoint there is nothing to save: there the process
exits at once, with code 0 as well.
"""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator

log = logging.getLogger(__name__)

# The signals by which schedulers announce that they will stop a job.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def exit_on_signal() -> Iterator[None]:
    """Exit with code 0 on a stop signal while no training step is running."""

    def leave(number: int, _frame: FrameType | None) -> None:
        log.warning("stopped by signal %d before there was anything to save", number)
        # Not by an exception, which may be swallowed wherever the signal finds the program.
        os._exit(0)

    previous = {number: signal.signal(number, leave) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class PreemptionHandler:
    """Remember, while entered, that a stop was requested."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def on_any_rank(self, accelerator: Accelerator) -> bool:
        """Return whether a rank received a stop signal, so that all leave at the same step."""
        if accelerator.num_processes == 1:
            return self.requested
        flag = torch.tensor([self.requested], device=accelerator.device)
        flags: Any = accelerator.gather(flag)
        return bool(flags.any())

    def __enter__(self) -> "PreemptionHandler":
        if threading.current_thread() is threading.main_thread():
            self._previous = {
                number: signal.signal(number, self._remember) for number in STOP_SIGNALS
            }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
