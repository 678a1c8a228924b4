"""Bootstrap intervals hold the mean, shrink with the sample, and never depend on its order."""

import math

import pytest
import torch

from vistok.eval.metrics.bootstrap import bootstrap_interval


def normal(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, generator=generator, dtype=torch.float64) * 2 + 30


def interval(values: torch.Tensor) -> tuple[float, float]:
    found = bootstrap_interval(values)
    assert found is not None
    return found


def test_the_interval_is_that_of_the_normal_mean():
    low, high = interval(normal(2000))
    # 1000 resamples place their 2.5 % quantile to about 0.1 standard errors
    mean, error = normal(2000).mean().item(), 2 / math.sqrt(2000)
    assert low == pytest.approx(mean - 1.96 * error, abs=0.3 * error)
    assert high == pytest.approx(mean + 1.96 * error, abs=0.3 * error)


def test_about_95_of_100_intervals_hold_the_true_mean():
    found = [interval(normal(100, seed)) for seed in range(100)]
    assert 88 <= sum(low <= 30 <= high for low, high in found) <= 99


def test_order_does_not_matter_and_the_seed_does():
    values = normal(50)
    assert bootstrap_interval(values) == bootstrap_interval(values.flip(0))
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values)


def test_there_is_none_of_one_sample_or_an_infinite_mean():
    assert bootstrap_interval(normal(1)) is None
    assert bootstrap_interval(torch.tensor([30.0, math.inf], dtype=torch.float64)) is None
