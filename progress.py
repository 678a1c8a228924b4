"""Progress on stderr: a bar in a terminal, sparse lines in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")

LOG_EVERY_SECONDS = 20.0


class ProgressLine:
    """Progress of a long task of known length; use as a context manager.

    Args:
        title: what is being done.
        total: number of units of work.
        done: units done before, in a resumed run.
        enabled: False shows nothing.
    """

    def __init__(self, title: str, total: int, done: int = 0, enabled: bool = True) -> None:
        console = Console(stderr=True)
        self.title, self.total, self.done = title, total, done
        self.note = ""
        self._log = enabled and not console.is_terminal
        self._last_logged = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not enabled or self._log,
        )
        self._task = self._bar.add_task(title, total=total, completed=done, note="")

    def __enter__(self) -> "ProgressLine":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._log and self.done:
            self._write_line()

    def advance(self, units: int = 1, note: str | None = None) -> None:
        """Count finished units; a note (current metrics) stays until the next one."""
        self.done += units
        self.note = self.note if note is None else note
        self._bar.update(self._task, advance=units, note=self.note)
        if self._log and time.monotonic() - self._last_logged >= LOG_EVERY_SECONDS:
            self._write_line()

    def _write_line(self) -> None:
        self._last_logged = time.monotonic()
        sys.stderr.write(f"{self.title} {self.done}/{self.total} {self.note}\n")
        sys.stderr.flush()


def track(items: Iterable[Item], title: str, total: int, enabled: bool = True) -> Iterator[Item]:
    """Iterate with a progress line."""
    with ProgressLine(title, total, enabled=enabled) as line:
        for item in items:
            yield item
            line.advance()
