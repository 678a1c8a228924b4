"""Speed and peak memory of a reconstructor.

Peak memory is that of the accelerator the reconstructor runs on, else that of this process. On an
accelerator it includes all tensors of this process: other tokenizers that are open at the same
time, and the networks of the metrics. Linux records the peak of a process's resident memory and
lets it be reset; on other systems the peak of one reconstructor is unknown, and None is reported.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from ..reconstructors.reconstructor import Reconstruction

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@dataclass
class Clock:
    """Total time of the timed batches, which ran without other work."""

    samples: int = 0
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0

    def add(self, result: Reconstruction) -> None:
        """Add the time of a batch, if its result contains it."""
        if result.encode_seconds is not None and result.decode_seconds is not None:
            self.samples += len(result.clips)
            self.encode_seconds += result.encode_seconds
            self.decode_seconds += result.decode_seconds

    def per_second(self, seconds: float) -> float | None:
        """Return the samples per second over this time; None if nothing was timed."""
        return self.samples / seconds if seconds else None


class PeakMemory:
    """Peak memory since this object was created.

    Args:
        device: device that the work runs on.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self._is_known = True
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        try:
            _RESET.write_text(_RESET_PEAK, encoding="ascii")
        except OSError:
            self._is_known = False

    def bytes(self) -> int | None:
        """Return the peak so far in bytes; None if it is unknown."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        if not self._is_known:
            return None
        peak = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"))
        return None if peak is None else int(peak[1]) * 1024
