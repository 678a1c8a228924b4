"""The failure of one rank ends all ranks of a run, each within seconds and with one message.

A rank that fails leaves the others waiting in a collective call, with NCCL until its timeout of ten
minutes. The failing rank therefore makes no collective call: it writes its error into the key-value
store by which the ranks found each other. A thread of every rank watches the store and ends its
process, even where the main thread waits.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist

from .distributed import rank_and_world_size

_KEY = "vistok/failure"
_POLL_SECONDS = 1.0
# For the main thread to fail by itself, and for the first failure to be the first one seen.
_GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class Failure:
    """The first failure of a run.

    Attributes:
        rank: of the process that failed.
        message: its error.
    """

    rank: int
    message: str


class StoppedByAnotherRankError(RuntimeError):
    """The error of a rank that failed after another one, most often because of it."""

    def __init__(self, first: Failure) -> None:
        super().__init__(f"stopped because rank {first.rank} failed: {first.message}")
        self.first = first

    @property
    def is_shared(self) -> bool:
        """True if this rank failed in the same way by itself, as with a wrong setting."""
        return str(self.__cause__) == self.first.message


@contextmanager
def failing_together() -> Iterator[None]:
    """Tell the other ranks that watch (see `watch_ranks`) when the block fails on this one.

    Raises:
        StoppedByAnotherRankError: instead of the block's error, where another rank failed first.
    """
    try:
        yield
    except BaseException as error:
        first = None if _watch is None else _watch.announce(error)
        if first is not None:
            raise StoppedByAnotherRankError(first) from error
        raise
    finally:
        if _watch is not None:
            _watch.stop()


def watch_ranks() -> None:
    """Watch the other ranks from now on, until the block of `failing_together` ends.

    All ranks must have joined the process group.
    """
    global _watch
    if _watch is None and rank_and_world_size()[1] > 1 and "MASTER_PORT" in os.environ:
        _watch = _Watch()


class _Watch:
    """A connection of its own to the ranks' store, and the thread that polls it."""

    def __init__(self) -> None:
        self.rank = rank_and_world_size()[0]
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._key = f"{_KEY}/{os.environ.get('TORCHELASTIC_RUN_ID', '')}/{attempt}"
        connect: Any = dist.TCPStore  # pyright: ignore[reportPrivateImportUsage]
        self._store = connect(address, port, is_master=False)
        self._ended = threading.Event()
        threading.Thread(target=self._poll, name="rank failure", daemon=True).start()

    def announce(self, error: BaseException) -> Failure | None:
        """Write an error into the store; return the other rank's failure if there was one."""
        ours = Failure(self.rank, str(error) or type(error).__name__)
        text = json.dumps([ours.rank, ours.message])
        try:
            first = Failure(*json.loads(self._store.compare_set(self._key, "", text)))
        except RuntimeError:
            return None  # the store is gone with the process that hosted it
        return None if first == ours else first

    def stop(self) -> None:
        """End the thread."""
        global _watch
        self._ended.set()
        _watch = None

    def _poll(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            with suppress(RuntimeError):
                if self._store.check([self._key]):
                    break
        if self._ended.wait(_GRACE_SECONDS):
            return
        first = Failure(*json.loads(self._store.get(self._key)))
        sys.stderr.write(f"rank {self.rank}: {StoppedByAnotherRankError(first)}\n")
        exit_at_once(1)


_watch: _Watch | None = None


def exit_at_once(code: int) -> None:
    """Exit; the ranks of a run skip the end of the interpreter, which may wait for the others."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
