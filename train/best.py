"""The best tokenizer of a run so far, by a score on held-out data: kept in `best/`."""

import json
from pathlib import Path

from ..output_file import replaced_folder
from ..tokenizers.tokenizer import VisualTokenizer

LOWER_IS_BETTER = ("lpips_alex", "lpips_vgg", "rfid", "kid", "rfvd")


class BestTokenizer:
    """Keeps the tokenizer with the best score, and the score beside it in `best.json`.

    Args:
        folder: where; what stands there from an earlier start counts.
        metric: what is compared.
        resume_step: the step that the run goes on from; later ones are forgotten.

    Attributes:
        step: when the best score was taken; None before the first one.
        value: the score.
    """

    def __init__(self, folder: Path, metric: str, resume_step: int) -> None:
        self.folder, self.metric = folder, metric
        self.step: int | None = None
        self.value = 0.0
        note = folder / "best.json"
        if note.exists():
            kept = json.loads(note.read_text(encoding="utf-8"))
            if kept["metric"] == metric and kept["step"] <= resume_step:
                self.step, self.value = kept["step"], kept["value"]

    def offer(self, step: int, value: float, tokenizer: VisualTokenizer) -> None:
        """Keep a tokenizer if its score is better than all before."""
        lower = self.metric in LOWER_IS_BETTER
        if self.step is not None and (value >= self.value if lower else value <= self.value):
            return
        self.step, self.value = step, value
        note = {"step": step, "metric": self.metric, "value": value}
        with replaced_folder(self.folder) as partial:
            tokenizer.save_pretrained(partial)
            text = json.dumps(note, indent=1) + "\n"
            (partial / "best.json").write_text(text, encoding="utf-8")
