"""Print the oldest allowed versions of libraries, as pip takes them: `torch==2.7`."""

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def oldest(names: list[str]) -> list[str]:
    """Requirements with `==` in place of the lower bounds of pyproject.toml."""
    listed = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    bounds = {}
    for requirement in listed:
        found = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", requirement)
        assert found, requirement
        bounds[found[1]] = found[2]
    return [f"{name}=={bounds[name]}" for name in names]


if __name__ == "__main__":
    sys.stdout.write(" ".join(oldest(sys.argv[1:])) + "\n")
