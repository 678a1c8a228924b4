"""ThroughputMeter: training speed, and the share of time spent waiting for data."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class ThroughputMeter:
    """Measure training steps between two calls of `compute_and_reset`; other work does not count.

    Args:
        samples_per_step: samples of all devices in one optimizer step.
    """

    def __init__(self, samples_per_step: int) -> None:
        self.samples_per_step = samples_per_step
        self._started = 0.0
        self._steps, self._seconds, self._waited = 0, 0.0, 0.0

    def start_step(self) -> None:
        """Begin to time one optimizer step."""
        self._started = time.perf_counter()

    def end_step(self) -> None:
        """Add the time since `start_step`."""
        self._seconds += time.perf_counter() - self._started
        self._steps += 1

    def waiting(self, items: Iterable[Item]) -> Iterator[Item]:
        """Iterate over items and add up the time until each one arrives."""
        iterator = iter(items)
        while True:
            start = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self._waited += time.perf_counter() - start
            yield item

    def compute_and_reset(self) -> dict[str, float]:
        """Return samples per second and the share of time spent waiting, since the last call."""
        metrics = {
            "samples_per_second": self._steps * self.samples_per_step / self._seconds,
            "data_wait_share": self._waited / self._seconds,
        }
        self._steps, self._seconds, self._waited = 0, 0.0, 0.0
        return metrics
