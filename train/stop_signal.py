"""Leaving a run politely: SIGTERM and SIGUSR1 ask it to save after the current step."""

import signal
import threading
from types import FrameType
from typing import Any

from ..data.training_loader import STOP_SIGNALS


class StopSignal:
    """Remembers, while entered, that a stop was asked for."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
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
