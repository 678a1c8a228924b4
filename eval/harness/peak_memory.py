"""Peak memory of a piece of work: of the accelerator it runs on, else of this process.

Of an accelerator it is every tensor that this process held there: other tokenizers that were opened
beside the one at work, and the networks of the metrics, are in it.

Linux keeps the high-water mark of a process's resident memory and lets it be reset; elsewhere there
is no figure of a piece, and None is reported.
"""

import re
from pathlib import Path

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_HIGH_WATER_MARK = "5"


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
