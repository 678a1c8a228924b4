"""Every example runs as it stands and says something."""

import sys
from pathlib import Path

import pytest

from commands import run_process

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    result = run_process([sys.executable, path], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
    assert len(path.read_text().splitlines()) <= 60
