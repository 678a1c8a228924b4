"""metrics.jsonl: rows of plain numbers, none of them from after the checkpoint."""

import pytest

from full_disk import full_disk
from vistok.output_file import OutputError
from vistok.train.config.changed_settings import ChangedSetting
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


def test_a_row_has_the_settings_that_changed_since_the_row_before(tmp_path):
    path = tmp_path / "metrics.jsonl"
    changes = [ChangedSetting(step, "train.lr", 1.0, 0.5) for step in (10, 14, 15)]
    log = MetricsLog(path, 0, changes)
    for step in (5, 10, 15, 20, 25):
        log.write({"step": step})
    rows = [[change["step"] for change in row["changes"] or ()] for row in read_metrics(path)]
    assert rows == [[], [], [10, 14], [15], []]
    MetricsLog(path, 10, changes[:1]).write({"step": 12})
    assert read_metrics(path)[-1]["changes"] == [
        {"step": 10, "key": "train.lr", "before": 1.0, "after": 0.5}
    ]


def test_training_psnr_takes_the_range_of_two():
    for l2, expected in ((4.0, 0.0), (0.04, 20.0)):
        means = {"l2": l2, "discrete_l2": l2}
        row = metrics_row(1, means=means, lrs={}, speed={}, scores={}, codebook_use={})
        assert row["train_psnr"] == row["discrete_train_psnr"] == pytest.approx(expected)
        assert "continuous_train_psnr" not in row


@pytest.mark.parametrize("line", ['{"x": 1}', "[]", "{", '{"step": "1"}', "[" * 100_000])
def test_a_line_that_is_no_row_is_named_and_nothing_behind_it_is_lost(tmp_path, line):
    file = tmp_path / "metrics.jsonl"
    text = f'{{"step": 1}}\n{line}\n{{"step": 3}}\n'
    file.write_text(text)
    with pytest.raises(ValueError, match=r"metrics.jsonl is damaged: line 2 is not a row"):
        MetricsLog(file, 3)
    assert file.read_text() == text


def test_a_full_disk_names_the_log(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", 0)
    with full_disk(20), pytest.raises(OutputError, match=r"metrics\.jsonl"):
        log.write({"step": 1, "loss": 0.123456789})
