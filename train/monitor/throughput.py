"""ThroughputMeter: training speed, and the share of time spent waiting for data."""

import math
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Batch = TypeVar("Batch", bound=Sized)


class ThroughputMeter:
    """Measure training steps between two calls of `compute_and_reset`; other work does not count.

    Args:
        num_devices: number of devices, all of which take batches of the same size at each step.
    """

    def __init__(self, num_devices: int) -> None:
        self.num_devices = num_devices
        self._started = 0.0
        self._samples, self._seconds, self._waited = 0, 0.0, 0.0

    def start_step(self) -> None:
        """Begin to time one optimizer step."""
        self._started = time.perf_counter()

    def end_step(self) -> None:
        """Add the time since `start_step`."""
        self._seconds += time.perf_counter() - self._started

    def waiting(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Iterate over batches and add up their samples and the time until each one arrives."""
        iterator = iter(batches)
        while True:
            start = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited += time.perf_counter() - start
            self._samples += len(batch) * self.num_devices
            yield batch

    def compute_and_reset(self) -> dict[str, float]:
        """Return samples per second and the share of time spent waiting, since the last call."""
        seconds = self._seconds or math.nan  # no step yet: a report that a kill had cut off
        metrics = {
            "samples_per_second": self._samples / seconds,
            "data_wait_share": self._waited / seconds,
        }
        self._samples, self._seconds, self._waited = 0, 0.0, 0.0
        return metrics
