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

OVERSAMPLING = 8


def frechet_distance(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """The squared distance (1).

    Raises:
        ValueError: a side has fewer than two features.
    """
    C1, C2 = first.covariance, second.covariance
    difference = first.mean - second.mean
    root = trace_of_root(C1, C2, rank=min(first.count - 1, first.dim))
    square = difference @ difference + C1.trace() + C2.trace() - 2 * root  # (1)
    # Equal sets come out at 0 only up to rounding, on either side
    return max(0.0, square.item())


def trace_of_root(
    C1: Float64[Tensor, "D D"], C2: Float64[Tensor, "D D"], rank: int
) -> Float64[Tensor, ""]:
    """(2).

    Args:
        C1: covariance of one side.
        C2: of the other.
        rank: the most directions in which the first can vary: samples less one, at most D.
    """
    basis = _range(C1, rank)
    values, vectors = torch.linalg.eigh(basis.mT @ C1 @ basis)
    noise = values[-1].clamp(min=0) * len(C1) * torch.finfo(torch.float64).eps
    varies = values > noise
    R = basis @ vectors[:, varies] * values[varies].sqrt()
    eigenvalues = torch.linalg.eigvalsh(R.mT @ C2 @ R)
    return eigenvalues.clamp(min=0).sqrt().sum()  # (2)


def _range(C: Float64[Tensor, "D D"], rank: int) -> Float64[Tensor, "D r"]:
    """Orthonormal directions that span the range of a matrix of low rank.

    Random products find it (Halko et al. 2011, arXiv 0909.4061): a few hundred pictures then cost
    no eigenvalues of the whole matrix.
    """
    wanted = rank + OVERSAMPLING
    if wanted > len(C) // 2:
        return torch.eye(len(C), dtype=C.dtype)
    generator = torch.Generator().manual_seed(0)
    probes = torch.randn(len(C), wanted, generator=generator, dtype=C.dtype)
    return torch.linalg.qr(C @ probes).Q
