"""metrics.jsonl: rows of plain numbers, none of them from after the checkpoint."""

import pytest

from vistok.train.monitor.metrics_log import MetricsLog, metrics_row, read_metrics


def test_metrics_beyond_the_checkpoint_are_dropped_on_resume(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, resume_step=0)
    for step in (1, 2, 3):
        log.write({"step": step})
    with path.open("a") as file:
        file.write('{"step": 4, "lo')  # cut off by a kill
    assert [entry["step"] for entry in read_metrics(path)] == [1, 2, 3]
    MetricsLog(path, resume_step=2).write({"step": 3})
    assert [entry["step"] for entry in read_metrics(path)] == [1, 2, 3]


def test_training_psnr_takes_the_range_of_two():
    for l2, expected in ((4.0, 0.0), (0.04, 20.0)):
        means = {"l2": l2, "discrete_l2": l2}
        row = metrics_row(1, means=means, lrs={}, speed={}, scores={}, codebook_use={})
        assert row["train_psnr"] == row["discrete_train_psnr"] == pytest.approx(expected)
        assert "continuous_train_psnr" not in row
