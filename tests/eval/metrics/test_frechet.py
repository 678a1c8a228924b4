"""The Fréchet distance and its moments: closed forms, scipy, and no dependence on batches."""

import numpy as np
import pytest
import scipy.linalg
import torch

from vistok.eval.metrics.feature_statistics import BLOCK, FeatureStatistics
from vistok.eval.metrics.frechet import frechet_distance


def statistics(features: torch.Tensor, batch: int = 7, keep: bool = False) -> FeatureStatistics:
    result = FeatureStatistics(features.shape[1], keep)
    for start in range(0, len(features), batch):
        share = features[start : start + batch]
        result.add([f"{start + i:05d}" for i in range(len(share))], share[:, None])
    return result


def normal(count: int, dim: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dim, dim, generator=generator)
    return torch.randn(count, dim, generator=generator) @ mix + seed


def test_moments_are_those_of_numpy():
    features = normal(BLOCK + 40, 6)
    ours = statistics(features)
    assert np.allclose(ours.mean, features.double().mean(dim=0), atol=1e-12)
    assert np.allclose(ours.covariance, np.cov(features.double().numpy(), rowvar=False), atol=1e-12)


def test_moments_do_not_depend_on_batches():
    features = normal(2 * BLOCK + 3, 5)
    one, other = statistics(features, batch=1), statistics(features, batch=100)
    assert torch.equal(one.covariance, other.covariance)
    assert torch.equal(one.mean, other.mean)


def test_the_distance_of_shifted_sets_is_the_squared_shift():
    features = normal(500, 4)
    shifted = features + torch.tensor([3.0, 0.0, 4.0, 0.0])
    assert frechet_distance(statistics(features), statistics(shifted)) == pytest.approx(
        25, rel=1e-5
    )


@pytest.mark.parametrize("count", [20, 400])  # fewer samples than values, and more
def test_the_distance_is_that_of_the_matrix_square_root(count):
    a, b = normal(count, 32, 0), normal(count, 32, 1)
    A, B = (np.cov(x.double().numpy(), rowvar=False) for x in (a, b))
    root = np.real(scipy.linalg.sqrtm(A @ B))
    shift = (a.double().mean(0) - b.double().mean(0)).square().sum().item()
    expected = shift + np.trace(A) + np.trace(B) - 2 * np.trace(root)
    # singular matrices cost scipy's root about half of its digits
    assert frechet_distance(statistics(a), statistics(b)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("count", [5, 100])
def test_equal_sets_have_distance_zero(count):
    features = normal(count, 32)
    ours = statistics(features), statistics(features.flip(0), batch=3)
    scale = ours[0].covariance.trace().item()
    assert frechet_distance(*ours) == pytest.approx(0.0, abs=1e-9 * scale)


def test_kept_features_stand_in_the_order_of_their_keys():
    features = normal(10, 3)
    shuffled = FeatureStatistics(3, keep=True)
    for index in torch.randperm(10, generator=torch.Generator().manual_seed(1)).tolist():
        shuffled.add([f"{index:05d}"], features[None, index : index + 1])
    assert torch.equal(shuffled.kept, statistics(features, keep=True).kept)


def test_statistics_survive_being_written():
    before = statistics(normal(40, 3), keep=True)
    after = FeatureStatistics.from_state(before.state(), keep=True)
    assert after.count == 40
    assert torch.equal(after.covariance, before.covariance)
    assert torch.equal(after.kept, before.kept)


def test_what_cannot_have_a_covariance_is_refused():
    with pytest.raises(ValueError, match="needs at least 2 features, got 1"):
        _ = statistics(normal(1, 3)).covariance
    with pytest.raises(ValueError, match="must have 3 values, got 4"):
        FeatureStatistics(3).add(["a"], torch.zeros(1, 1, 4))
