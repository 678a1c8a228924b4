"""Training speed counts the samples that arrive, however large their batches are."""

import time

import pytest
import torch

from vistok.train.monitor.throughput import ThroughputMeter


def test_batches_of_several_sizes_count_as_many_samples_as_they_hold(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    meter = ThroughputMeter(num_devices=2)
    for sizes in ((3, 3), (1, 1)):
        meter.start_step()
        assert [len(b) for b in meter.waiting(torch.zeros(n, 3) for n in sizes)] == list(sizes)
        meter.end_step()
    speed = meter.compute_and_reset()
    # Each of the two steps reads the clock at its start and end, and twice for each batch and
    # once more, when there is none: 6 ticks, of which 2 are waits that ended with a batch
    assert speed == {
        "samples_per_second": pytest.approx(16 / 12),
        "data_wait_share": pytest.approx(4 / 12),
    }
