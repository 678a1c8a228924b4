"""A run killed again and again ends bit for bit as one that was left alone (`make stress`)."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from subprocess import Popen

import pytest

from killed_runs import everything_at_once, long_run, start
from runs import assert_same_state, tiny_run
from vistok.train.loop import train
from vistok.train.run.checkpoint import checkpoints
from vistok.train.run.run_folder import RunFolder

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(os.name == "nt", reason="POSIX signals"),
]

DUAL_PATH = {
    "kind": "dual_path",
    "continuous": {"kind": "kl"},
    "quantizer": {"kind": "multi_token", "quantizer": {"kind": "fsq"}, "dim": 16},
}
RUNS = {
    "many steps": lambda: long_run(120),
    "everything at once": everything_at_once,
    "drawn paths": lambda: tiny_run(
        DUAL_PATH, steps=12, path_mode="sampled", accumulation_steps=2, keep_last=3
    ),
}


def kill_somewhere(process: Popen, folder: Path, moments: random.Random) -> bool:
    """Kill a run a moment after its next checkpoint; False if it ended before."""
    known = checkpoints(folder) if folder.is_dir() else []
    while process.poll() is None and (not folder.is_dir() or checkpoints(folder) == known):
        time.sleep(0.005)
    time.sleep(moments.uniform(0, 0.2))
    killed = process.poll() is None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return killed


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", RUNS)
def test_a_run_killed_many_times_ends_bit_equal(name, seed, tmp_path):
    config, moments = RUNS[name](), random.Random(seed)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    kills = 0
    while not RunFolder(killed).finished(config.train.steps):
        kills += kill_somewhere(start(killed, config), killed / "checkpoints", moments)
        assert kills < 20, "every start makes a checkpoint more"
    assert kills >= 1
    train(config, whole, show_progress=False)
    assert_same_state(killed, whole)


@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_at_any_moment_can_be_started_again(seed, tmp_path):
    """While it imports, opens its data, makes its folder or saves: nothing is left in the way."""
    config, moments = everything_at_once(), random.Random(seed)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    started = time.monotonic()
    train(config, whole, show_progress=False)
    seconds = 10 + time.monotonic() - started  # of which ten to import everything
    for _ in range(6):
        process = start(killed, config)
        time.sleep(moments.uniform(0, seconds))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    train(config, killed, show_progress=False)
    assert_same_state(killed, whole)
