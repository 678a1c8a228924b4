"""The best tokenizer of a run so far, by a score on held-out data: kept in `best/`."""

import json
from pathlib import Path

from ...output_file import replaced_folder
from ...tokenizers.tokenizer import VisualTokenizer
from ..config.run_config import RunConfig

LOWER_IS_BETTER = ("lpips_alex", "lpips_vgg", "rfid", "kid", "rfvd")


class BestCheckpoint:
    """Keeps the tokenizer with the best score, and the score beside it in `best.json`.

    Args:
        folder: where; what stands there from an earlier start counts, if it was scored alike.
        config: the run; its `eval` says what is compared, and on what.
        resume_step: the step that the run goes on from; later ones are forgotten.

    Attributes:
        metric: what is compared.
        step: when the best score was taken; None before the first one.
        value: the score.
    """

    def __init__(self, folder: Path, config: RunConfig, resume_step: int) -> None:
        options = config.eval
        self.folder, self.metric = folder, options.best_metric
        # Scores of other images are no competitors.
        self.scored = {
            "metric": options.best_metric,
            "source": options.source,
            "size": options.size or config.data.size,
            "limit": options.limit,
        }
        self.step: int | None = None
        self.value = 0.0
        note = folder / "best.json"
        if note.exists():
            kept = json.loads(note.read_text(encoding="utf-8"))
            alike = all(kept.get(name) == value for name, value in self.scored.items())
            if alike and kept["step"] <= resume_step:
                self.step, self.value = kept["step"], kept["value"]

    def offer(self, step: int, value: float, tokenizer: VisualTokenizer) -> None:
        """Keep a tokenizer if its score is better than all before."""
        lower = self.metric in LOWER_IS_BETTER
        if self.step is not None and (value >= self.value if lower else value <= self.value):
            return
        self.step, self.value = step, value
        note = {"step": step, "value": value, **self.scored}
        with replaced_folder(self.folder) as partial:
            tokenizer.save_pretrained(partial)
            text = json.dumps(note, indent=1) + "\n"
            (partial / "best.json").write_text(text, encoding="utf-8")
