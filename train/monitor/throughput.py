"""How fast a run trains, and how much of that time it waits for data."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


class ThroughputMeter:
    """Figures over the training steps since they were last asked for; other work does not count.

    Args:
        samples_per_step: samples of all devices in one optimizer step.
    """

    def __init__(self, samples_per_step: int) -> None:
        self.samples_per_step = samples_per_step
        self._steps, self._seconds, self._waited = 0, 0.0, 0.0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Time one optimizer step."""
        start = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - start
        self._steps += 1

    def waiting(self, items: Iterable[Item]) -> Iterator[Item]:
        """Iterate, counting the time until each item arrives."""
        iterator = iter(items)
        while True:
            start = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self._waited += time.perf_counter() - start
            yield item

    def figures(self) -> dict[str, float]:
        """Samples per second and the share of time spent waiting, since the last call."""
        figures = {
            "samples_per_second": self._steps * self.samples_per_step / self._seconds,
            "data_wait_share": self._waited / self._seconds,
        }
        self._steps, self._seconds, self._waited = 0, 0.0, 0.0
        return figures
