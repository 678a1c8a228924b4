"""Running means are over everything that was added since the last row."""

import torch

from vistok.train.monitor.running_means import RunningMeans


def test_means_are_over_what_was_added_since_the_last_line():
    means = RunningMeans()
    for value in (1.0, 2.0, 6.0):
        means.add({"loss": torch.tensor(value)})
    means.add({"gradient_norm": torch.tensor(5.0)})
    assert means.compute_and_reset() == {"loss": 3.0, "gradient_norm": 5.0}
    means.add({"loss": torch.tensor(7.0)})
    assert means.compute_and_reset() == {"loss": 7.0}
    assert means.compute_and_reset() == {}
