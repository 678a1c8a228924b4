"""What a run says of itself: means between log lines, the balance of its two players."""

import pytest
import torch

from runs import tiny_run
from tiny import tiny_tokenizer
from vistok.train.config.run_config import Eval
from vistok.train.monitor.best_checkpoint import BestCheckpoint
from vistok.train.monitor.gan_monitor import GANMonitor
from vistok.train.monitor.running_means import RunningMeans
from vistok.train.monitor.trackers import check_trackers


def test_means_are_over_what_was_added_since_the_last_line():
    means = RunningMeans()
    for value in (1.0, 2.0, 6.0):
        means.add({"loss": torch.tensor(value)})
    means.add({"gradient_norm": torch.tensor(5.0)})
    assert means.compute_and_reset() == {"loss": 3.0, "gradient_norm": 5.0}
    means.add({"loss": torch.tensor(7.0)})
    assert means.compute_and_reset() == {"loss": 7.0}
    assert means.compute_and_reset() == {}


def test_a_discriminator_that_costs_more_than_1_db_is_reported_once(caplog):
    monitor = GANMonitor(start_step=100)
    for step, psnr in ((50, 20.0), (100, 24.0), (150, 23.2), (200, 22.9), (250, 21.0)):
        monitor.update({"step": step, "train_psnr": psnr})
    assert caplog.text.count("has driven PSNR down by 1.1 dB") == 1
    assert "step 200" in caplog.text


def test_without_lines_before_the_start_the_first_line_is_what_psnr_is_compared_with(caplog):
    monitor = GANMonitor(start_step=0)
    for step, psnr in ((10, 15.0), (20, 18.0), (30, 17.0)):
        monitor.update({"step": step, "train_psnr": psnr})
    assert not caplog.text


def test_a_run_that_goes_on_compares_with_what_it_had_before(caplog):
    past = [{"step": step, "train_psnr": 20.0 + step} for step in (1, 2, 3, 4)]
    monitor = GANMonitor(start_step=3, past=past)
    monitor.update({"step": 5, "train_psnr": 22.5})
    assert not caplog.text
    monitor.update({"step": 6, "train_psnr": 21.9})
    assert "has driven PSNR down by 1.1 dB" in caplog.text


def test_paths_are_compared_each_with_itself(caplog):
    """Taken in turn, the two paths may lie far apart without any discriminator."""
    monitor = GANMonitor(start_step=2)
    for step in range(1, 7):
        path, psnr = (("discrete", 15.0), ("continuous", 25.0))[step % 2]
        monitor.update({"step": step, "train_psnr": psnr, f"{path}_train_psnr": psnr})
    assert not caplog.text
    monitor.update({"step": 7, "train_psnr": 23.0, "continuous_train_psnr": 23.0})
    assert "driven PSNR down by 2.0 dB since its start (continuous_train_psnr" in caplog.text


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


def scored_by(metric: str) -> Eval:
    return tiny_run().eval.model_copy(update={"metrics": [metric], "best_metric": metric})


def test_a_tracker_that_is_not_installed_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr("vistok.train.monitor.trackers.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'vistok\[wandb\]'"):
        check_trackers(["wandb"])
