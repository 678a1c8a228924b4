"""BestCheckpoint keeps the tokenizer of the best score among comparable ones."""

import pytest

from runs import tiny_run
from tiny import tiny_tokenizer
from vistok.train.config.evaluation import Eval
from vistok.train.monitor.best_checkpoint import BestCheckpoint


@pytest.mark.parametrize(
    ("metric", "scores", "best"), [("psnr", [1, 3, 2], 3), ("rfid", [4, 2, 3], 2)]
)
def test_the_best_tokenizer_is_kept_and_survives_a_restart(tmp_path, metric, scores, best):
    tokenizer = tiny_tokenizer()
    options = scored_by(metric)
    keeper = BestCheckpoint(tmp_path / "best", options, 64, resume_step=0)
    for step, score in enumerate(scores, start=1):
        keeper.update(step, float(score), tokenizer)
    assert (keeper.step, keeper.value) == (2, best)
    again = BestCheckpoint(tmp_path / "best", options, 64, resume_step=2)
    assert (again.step, again.value) == (2, best)
    again = BestCheckpoint(tmp_path / "best", options, 64, resume_step=1)
    assert again.step is None, "not reached again"


@pytest.mark.parametrize(
    "other",
    [{"source": "samples:train"}, {"size": 48}, {"limit": 3}, {"best_metric": "ssim"}],
    ids=lambda other: next(iter(other)),
)
def test_a_score_of_another_kind_or_on_other_images_is_no_competitor(tmp_path, other):
    keeper = BestCheckpoint(tmp_path / "best", scored_by("psnr"), 64, resume_step=0)
    keeper.update(1, 30.0, tiny_tokenizer())
    size = other.get("size", 64)
    options = scored_by("psnr").model_copy(update=other)
    keeper = BestCheckpoint(tmp_path / "best", options, size, resume_step=1)
    assert keeper.step is None
    keeper.update(2, 10.0, tiny_tokenizer())
    assert BestCheckpoint(tmp_path / "best", options, size, resume_step=2).value == 10.0


@pytest.mark.parametrize("text", ["[]", "{}", "", '{"step": 1, "value": "high"}'])
def test_a_damaged_note_is_named(tmp_path, text):
    keeper = BestCheckpoint(tmp_path / "best", scored_by("psnr"), 64, resume_step=0)
    keeper.update(1, 30.0, tiny_tokenizer())
    (tmp_path / "best" / "best.json").write_text(text)
    with pytest.raises(ValueError, match=r"best.json is damaged"):
        BestCheckpoint(tmp_path / "best", scored_by("psnr"), 64, resume_step=1)


def scored_by(metric: str) -> Eval:
    return tiny_run().eval.model_copy(update={"metrics": [metric], "best_metric": metric})
