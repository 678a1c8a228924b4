"""The best evaluation of a run so far; its tokenizer is kept in `best/`."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from ..output_file import write_text_whole
from ..tokenizers.tokenizer import VisualTokenizer


@dataclass(frozen=True)
class Best:
    """An evaluation.

    Attributes:
        step: when it was taken.
        metric: what was compared.
        value: its score; more is better.
    """

    step: int
    metric: str
    value: float


def read_best(folder: Path, resume_step: int) -> Best | None:
    """What a run's `best/` holds, unless the run goes on from before it."""
    path = folder / "best.json"
    if not path.exists():
        return None
    best = Best(**json.loads(path.read_text(encoding="utf-8")))
    return best if best.step <= resume_step else None


def is_better(value: float | None, best: Best | None) -> bool:
    """Whether a score beats the best one so far."""
    return value is not None and (best is None or value > best.value)


def write_best(folder: Path, best: Best, tokenizer: VisualTokenizer) -> None:
    """Put a tokenizer and its score in the place of the last best one."""
    partial = folder.with_name(".partial-" + folder.name)
    shutil.rmtree(partial, ignore_errors=True)
    tokenizer.save_pretrained(partial)
    write_text_whole(partial / "best.json", json.dumps(asdict(best), indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
