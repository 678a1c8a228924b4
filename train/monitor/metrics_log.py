"""metrics.jsonl: one line of plain numbers per logged step, the same keys all through a run."""

import json
from pathlib import Path
from typing import Any

from ...output_file import write_text_whole
from ...plain_json import dumps, finite_numbers


class MetricsLog:
    """Appends to a run's metrics, dropping what a killed run had logged beyond its checkpoint.

    Args:
        path: the file.
        resume_step: the step that the run goes on from.

    Attributes:
        past: the lines up to that step.
    """

    def __init__(self, path: Path, resume_step: int) -> None:
        self.path = path
        self.past = [entry for entry in read_metrics(path) if entry["step"] <= resume_step]
        write_text_whole(path, "".join(_line(entry) for entry in self.past))

    def write(self, entry: dict[str, Any]) -> None:
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(entry))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Every whole line of a metrics file; a line cut off by a kill is left out."""
    if not path.exists():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return entries


def _line(entry: dict[str, Any]) -> str:
    return dumps(finite_numbers(entry, flag_infinite=False), indent=None) + "\n"
