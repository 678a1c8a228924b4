"""Commands that tests run: programs as real processes, and the command line within this one."""

import io
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any
from unittest.mock import patch

from vistok.cli.app import main


@contextmanager
def interruptible() -> Iterator[None]:
    """Let what is started here be interrupted; a background job's children ignore SIGINT."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def run_process(command: Sequence[Any], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and keep what it prints."""
    with interruptible():
        return subprocess.run([*map(str, command)], capture_output=True, text=True, **options)


def start_process(command: Sequence[Any], **options: Any) -> subprocess.Popen:
    """Start a command."""
    with interruptible():
        return subprocess.Popen([*map(str, command)], **options)


def vistok_process(*arguments: Any, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `vistok ARGUMENTS` as a process of its own and compare its exit code."""
    result = run_process([sys.executable, "-m", "vistok", *arguments])
    assert result.returncode == code, result.stderr
    return result


def vistok(*arguments: Any, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `vistok ARGUMENTS` in this process, which saves the seconds of importing torch."""
    command = ["vistok", *map(str, arguments)]
    returned: Any = 0
    with captured_output() as (stdout, stderr), patch.object(sys, "argv", command):
        try:
            main()
        except SystemExit as stop:
            returned = stop.code or 0
    result = subprocess.CompletedProcess(command, returned, stdout.getvalue(), stderr.getvalue())
    assert result.returncode == code, result.stderr
    return result


@contextmanager
def captured_output() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Catch what is printed and logged, with logging as in a process that just began."""
    ours, root = logging.getLogger("vistok"), logging.getLogger()
    handlers, level = root.handlers[:], ours.level
    root.handlers.clear()
    try:
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            yield out, err
    finally:
        root.handlers[:] = handlers
        ours.setLevel(level)
