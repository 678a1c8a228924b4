"""How fast a run goes, and how much of the time it waits for data."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class ThroughputClock:
    """Figures since they were last asked for.

    Args:
        samples_per_step: samples of all devices in one optimizer step.
    """

    def __init__(self, samples_per_step: int) -> None:
        self.samples_per_step = samples_per_step
        self._reset()

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

    def count(self) -> None:
        """One optimizer step is done."""
        self._steps += 1

    def figures(self) -> dict[str, float]:
        """Samples per second and the share of time spent waiting, since the last call."""
        seconds = time.perf_counter() - self._start
        figures = {
            "samples_per_second": self._steps * self.samples_per_step / seconds,
            "data_wait_share": self._waited / seconds,
        }
        self._reset()
        return figures

    def _reset(self) -> None:
        self._start = time.perf_counter()
        self._steps, self._waited = 0, 0.0
