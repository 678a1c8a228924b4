"""Fuzzing: many seeded cases, each within limits of time and memory, and what every case must obey.

A case is a function of a random generator. All failures of a family are collected; each is reported
with the command that repeats it.
"""

import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest.mock import patch

import typer
from typer._click.exceptions import ClickException

from commands import captured_output
from vistok.cli.app import main

CASES = int(os.environ.get("VISTOK_FUZZ_CASES") or 500)
SEED = int(os.environ.get("VISTOK_FUZZ_SEED") or 0)
CASE = os.environ.get("VISTOK_FUZZ_CASE")

CPU_SECONDS = 10.0
SECONDS = 120.0  # for what waits instead of working
MEBIBYTES = 1536
SHOWN = 10

# A user's mistake, a damaged file, and what the command line makes of them.
EXPECTED_ERRORS = (ValueError, OSError, typer.Exit, ClickException)


class LimitError(BaseException):
    """A case took too long; no `except Exception` of the product may catch this."""


def fuzz(case: Callable[[Random], None], cases: int = CASES) -> None:
    """Run the cases of the current test, or the one that the environment names."""
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2].split()[0]
    failures: list[str] = []
    for number in [int(CASE)] if CASE else range(cases):
        try:
            with _limits():
                case(Random(f"{test}/{SEED}/{number}"))
        except (Exception, LimitError) as error:
            text = traceback.format_exc() if not failures else f"{type(error).__name__}: {error}"
            failures.append(f"make fuzz ONLY={test} SEED={SEED} CASE={number}\n{text[:3000]}")
    shown = "\n\n".join(failures[:SHOWN])
    assert not failures, f"{len(failures)} case(s) failed; repeat with\n{shown}"


@contextmanager
def _limits() -> Iterator[None]:
    def stop(number: int, _: Any) -> None:
        raise LimitError(f"signal {signal.Signals(number).name}: the case takes too long")

    memory = _peak_mebibytes()
    for number, timer, seconds in (
        (signal.SIGPROF, signal.ITIMER_PROF, CPU_SECONDS),
        (signal.SIGALRM, signal.ITIMER_REAL, SECONDS),
    ):
        signal.signal(number, stop)
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    grown = _peak_mebibytes() - memory
    assert grown < MEBIBYTES, f"the case took {grown:.0f} MiB of memory"


def _peak_mebibytes() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


# ---- what every case must obey -------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    command: tuple[str, ...]
    code: int
    out: str
    err: str


def run(*arguments: Any) -> Outcome:
    """Run `vistok ARGUMENTS` in this process, which may end with a code and a message only."""
    command = tuple(map(str, arguments))
    code: Any = 0
    with captured_output() as (out, err), patch.object(sys, "argv", ["vistok", *command]):
        try:
            main()
        except SystemExit as stop:
            code, cause = stop.code or 0, stop.__context__
            if cause is not None and not isinstance(cause, EXPECTED_ERRORS):
                raise AssertionError(f"{command} meets a bug of ours: {cause!r}") from cause
    outcome = Outcome(command, code, out.getvalue(), err.getvalue())
    assert code in (0, 1, 2), outcome
    assert "Traceback" not in outcome.err, outcome
    return outcome


def check_refusal(outcome: Outcome, names: Iterable[str]) -> None:
    """Check that a command failed with a message that names one of these."""
    assert outcome.code in (1, 2), f"not refused: {outcome}"
    message = outcome.err.partition("error: ")[2] or outcome.err
    check_message(message.strip(), names)


def check_message(message: str, names: Iterable[str]) -> None:
    """Check that a message is one line, or one for each problem, and names one of these."""
    names = list(names)
    assert message, "an empty message"
    assert any(name in message for name in names), f"none of {names} is named in: {message}"
    assert all(len(line) < 3000 for line in message.splitlines()), f"too long: {message}"
