"""Speed and peak memory of a piece of work.

Peak memory is that of the accelerator it runs on, else of this process. On an accelerator it counts
every tensor that this process held there: other tokenizers that were opened beside the one at work,
and the networks of the metrics, are in it. Linux keeps the high-water mark of a process's resident
memory and lets it be reset; elsewhere there is no figure of a piece, and None is reported.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from ..reconstructors.reconstructor import Reconstruction

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_HIGH_WATER_MARK = "5"


@dataclass
class Clock:
    """Seconds of the batches that had the machine for themselves."""

    samples: int = 0
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0

    def add(self, result: Reconstruction) -> None:
        """Count one batch, where it says how long it took."""
        if result.encode_seconds is not None and result.decode_seconds is not None:
            self.samples += len(result.clips)
            self.encode_seconds += result.encode_seconds
            self.decode_seconds += result.decode_seconds

    def per_second(self, seconds: float) -> float | None:
        """Samples per second; None where nothing was timed."""
        return self.samples / seconds if seconds else None


class PeakMemory:
    """Begins to watch when it is made.

    Args:
        device: where the work runs.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self._watches = True
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        try:
            _RESET.write_text(_RESET_HIGH_WATER_MARK, encoding="ascii")
        except OSError:
            self._watches = False

    def bytes(self) -> int | None:
        """The most that was held since."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        if not self._watches:
            return None
        mark = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"))
        return None if mark is None else int(mark[1]) * 1024
