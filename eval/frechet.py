"""Fréchet distance between Gaussians fitted to two sets of features (arXiv 1706.08500).

    (1)  d^2 = |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2))
    (2)  tr((C1 C2)^(1/2)) = sum of the square roots of the eigenvalues of R^T C2 R,  C1 = R R^T

(2) needs eigenvalues of symmetric matrices only, all in float64. R has one column per direction in
which the first set varies: the others (most of them where there are fewer samples than values)
would contribute the square root of their rounding errors.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

from .feature_statistics import FeatureStatistics


def frechet_distance(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """The squared distance (1).

    Raises:
        ValueError: a side has fewer than two features.
    """
    C1, C2 = first.covariance, second.covariance
    difference = first.mean - second.mean
    square = difference @ difference + C1.trace() + C2.trace() - 2 * trace_of_root(C1, C2)  # (1)
    # Equal sets come out at 0 only up to rounding, on either side
    return max(0.0, square.item())


def trace_of_root(C1: Float64[Tensor, "D D"], C2: Float64[Tensor, "D D"]) -> Float64[Tensor, ""]:
    """(2)."""
    values, vectors = torch.linalg.eigh(C1)
    noise = values[-1].clamp(min=0) * len(values) * torch.finfo(torch.float64).eps
    varies = values > noise
    R = vectors[:, varies] * values[varies].sqrt()
    eigenvalues = torch.linalg.eigvalsh(R.mT @ C2 @ R)
    return eigenvalues.clamp(min=0).sqrt().sum()  # (2)
