"""Trackers that are not installed are refused by name."""

import pytest

from vistok.train.monitor.trackers import check_trackers


def test_a_tracker_that_is_not_installed_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr("vistok.train.monitor.trackers.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'vistok\[wandb\]'"):
        check_trackers(["wandb"])
