"""BestCheckpoint: keeps the tokenizer with the best held-out score of a run in `best/`."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ...json_file import STRICT, read_json
from ...output_file import dumps, replaced_folder
from ...tokenizers.tokenizer import VisualTokenizer
from ..config.evaluation import Eval

LOWER_IS_BETTER = ("lpips_alex", "lpips_vgg", "rfid", "kid", "rfvd")


BEST_NOTE = "best.json"


@dataclass(frozen=True)
class BestScore:
    """Contents of `best.json`: a score, and the data it was computed on."""

    __pydantic_config__ = STRICT

    step: int
    value: float
    metric: str
    source: str | None
    size: int
    limit: int | None

    def at(self, step: int, value: float) -> "BestScore":
        """Return the score of another step on the same data."""
        return replace(self, step=step, value=value)


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
        self._score = BestScore(
            step=0,
            value=0.0,
            metric=options.best_metric,
            source=options.source,
            size=size,
            limit=options.limit,
        )
        self.step: int | None = None
        self.value = 0.0
        if (folder / BEST_NOTE).exists():
            stored = read_json(folder / BEST_NOTE, BestScore)
            # Scores are comparable only on the same images.
            if stored == self._score.at(stored.step, stored.value) and stored.step <= resume_step:
                self.step, self.value = stored.step, stored.value

    def update(self, step: int, value: float, tokenizer: VisualTokenizer) -> None:
        """Save a tokenizer if its score is better than all before."""
        lower = self.metric in LOWER_IS_BETTER
        if self.step is not None and (value >= self.value if lower else value <= self.value):
            return
        self.step, self.value = step, value
        with replaced_folder(self.folder) as partial:
            tokenizer.save_pretrained(partial)
            text = dumps(asdict(self._score.at(step, value))) + "\n"
            (partial / BEST_NOTE).write_text(text, encoding="utf-8")
