"""Every example runs as it stands and prints something."""

import runpy
import sys
from pathlib import Path

import pytest

from commands import run_process

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path, monkeypatch, capsys):
    code = path.read_text(encoding="utf-8")
    if "register(" in code:  # in a process of its own, since a kind stays registered
        printed = run_process([sys.executable, path], cwd=tmp_path, check=True).stdout
    else:
        monkeypatch.chdir(tmp_path)
        runpy.run_path(str(path), run_name="__main__")
        printed = capsys.readouterr().out
    assert printed.strip()
    assert len(code.splitlines()) <= 60
