"""A forked process does not free the converters of its parent, whose threads it does not have."""

import gc
import sys

import pytest

from commands import run_process

# A cycle of the parent holds a converter that has converted a large frame on several threads.
PROGRAM = """
import gc, os, signal
import av, numpy as np
from av.video.reformatter import VideoReformatter
from vistok.data.codecs.frame import FrameConverter

gc.disable()
converter = VideoReformatter()
frame = av.VideoFrame.from_ndarray(np.zeros((720, 1280, 3), np.uint8), "rgb24")
converter.reformat(frame, format="yuv420p", width=640, height=360, threads=4)
cycle = [converter]
cycle.append(cycle)
del converter, cycle
child = os.fork()
if child == 0:
    signal.alarm(10)
    gc.collect()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0, "the forked process waits for threads that it does not have"
assert gc.collect() > 0, "the parent still collects"
"""


@pytest.mark.skipif(not hasattr(gc, "freeze") or sys.platform == "win32", reason="needs fork")
def test_a_forked_process_collects_nothing_of_its_parents():
    done = run_process([sys.executable, "-c", PROGRAM])
    assert done.returncode == 0, done.stderr
