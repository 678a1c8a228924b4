"""Compiled networks give the losses and gradients of eager ones, at no more backward passes."""

import sys
from pathlib import Path

import pytest

from commands import run_process

SUPPORT = Path(__file__).parents[2] / "support"


@pytest.mark.slow
def test_the_adaptive_weight_runs_no_compiled_backward_pass_of_its_own():
    """Its two slopes stop at the decoder's last layer, which is the only one left eager.

    The program itself compares losses and gradients.
    """
    done = run_process([sys.executable, "compiled_slopes.py"], cwd=SUPPORT)
    assert done.returncode == 0, done.stderr
    convolutions, backward, backward_runs = map(int, done.stdout.split())
    assert convolutions > 0
    assert backward == backward_runs == convolutions
