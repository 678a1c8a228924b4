"""The most memory that this process has held; for the children of tests.

`getrusage` would count what the test process held at the fork; the kernel's own high-water mark
begins with the program.
"""

import re
from pathlib import Path


def peak_bytes() -> int:
    """High-water mark of resident memory (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    mark = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert mark, "Linux reports VmHWM"
    return int(mark[1]) * 1024
