"""BestCheckpoint: keeps the tokenizer with the best held-out score of a run in `best/`."""

import json
from pathlib import Path

from ...output_file import replaced_folder
from ...tokenizers.tokenizer import VisualTokenizer
from ..config.evaluation import Eval

LOWER_IS_BETTER = ("lpips_alex", "lpips_vgg", "rfid", "kid", "rfvd")


class BestCheckpoint:
    """Keeps the tokenizer with the best score, and the score beside it in `best.json`.

    Args:
        folder: `best/` of the run; its score from an earlier start counts if the metric and the
            data are the same.
        options: the metric to compare, and the held-out data.
        size: side of the held-out crops, in pixels.
        resume_step: the step that the run resumes from; scores of later steps are forgotten.

    Attributes:
        metric: name of the metric that is compared.
        step: step of the best score; None before the first one.
        value: the best score.
    """

    def __init__(self, folder: Path, options: Eval, size: int, resume_step: int) -> None:
        self.folder, self.metric = folder, options.best_metric
        # Scores are comparable only on the same images.
        self.scored = {
            "metric": options.best_metric,
            "source": options.source,
            "size": size,
            "limit": options.limit,
        }
        self.step: int | None = None
        self.value = 0.0
        note = folder / "best.json"
        if note.exists():
            stored = json.loads(note.read_text(encoding="utf-8"))
            comparable = all(stored.get(name) == value for name, value in self.scored.items())
            if comparable and stored["step"] <= resume_step:
                self.step, self.value = stored["step"], stored["value"]

    def update(self, step: int, value: float, tokenizer: VisualTokenizer) -> None:
        """Save a tokenizer if its score is better than all before."""
        lower = self.metric in LOWER_IS_BETTER
        if self.step is not None and (value >= self.value if lower else value <= self.value):
            return
        self.step, self.value = step, value
        note = {"step": step, "value": value, **self.scored}
        with replaced_folder(self.folder) as partial:
            tokenizer.save_pretrained(partial)
            text = json.dumps(note, indent=1) + "\n"
            (partial / "best.json").write_text(text, encoding="utf-8")
