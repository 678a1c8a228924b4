"""rFID and rFVD: Fréchet distance of originals and reconstructions (arXiv 1706.08500, 1812.01717).

The squared Fréchet distance of Gaussians fitted to two sets of features, Inception's or I3D's:

    (1)  d^2 = |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2))
    (2)  tr((C1 C2)^(1/2)) = sum of the square roots of the eigenvalues of R^T C2 R,  C1 = R R^T

(2) needs eigenvalues of symmetric matrices only, all in float64. R has one column per direction in
which the first set varies: the other directions (most of them if there are fewer samples than
values) would contribute the square roots of their rounding errors.

With few samples the distance is biased upwards: 5 000 images overstate small values by about 60 %,
10 000 by 25 to 29 %, 50 000 by 4 %. With few clips it depends more on their number than on the
tokenizer, so rFVD refuses them.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

from ..features.i3d import I3D
from ..features.inception import Inception
from .feature_statistics import FeatureStatistics
from .metric import SetMetric

OVERSAMPLING = 8

# Below these numbers of images or clips, the distance carries a caveat.
RFID_FEW = 10_000
RFVD_FEW = 2048
# Below this number of clips, rFVD is refused.
RFVD_FEWEST = 256


def frechet_distance(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """Compute the squared Fréchet distance (1) of two sets of features.

    Raises:
        ValueError: a side has fewer than two features.
    """
    C1, C2 = first.covariance, second.covariance
    difference = first.mean - second.mean
    root = trace_of_root(C1, C2, rank=min(first.count - 1, first.dim))
    square = difference @ difference + C1.trace() + C2.trace() - 2 * root  # (1)
    # Equal sets give 0 only up to rounding, which may be negative
    return max(0.0, square.item())


def trace_of_root(
    C1: Float64[Tensor, "D D"], C2: Float64[Tensor, "D D"], rank: int
) -> Float64[Tensor, ""]:
    """Compute the trace of the square root of the product of two covariances (2).

    Args:
        C1: covariance of one side.
        C2: covariance of the other side.
        rank: maximum rank of C1: the number of samples minus one, at most D.
    """
    basis = _range(C1, rank)
    values, vectors = torch.linalg.eigh(basis.mT @ C1 @ basis)
    noise = values[-1].clamp(min=0) * len(C1) * torch.finfo(torch.float64).eps
    varies = values > noise
    R = basis @ vectors[:, varies] * values[varies].sqrt()
    eigenvalues = torch.linalg.eigvalsh(R.mT @ C2 @ R)
    return eigenvalues.clamp(min=0).sqrt().sum()  # (2)


def _range(C: Float64[Tensor, "D D"], rank: int) -> Float64[Tensor, "D r"]:
    """Return orthonormal directions that span the range of a matrix of low rank.

    Random products find the range (Halko et al. 2011, arXiv 0909.4061): a few hundred images then
    do not need the eigenvalues of the whole matrix.
    """
    wanted = rank + OVERSAMPLING
    if wanted > len(C) // 2:
        return torch.eye(len(C), dtype=C.dtype)
    generator = torch.Generator().manual_seed(0)
    probes = torch.randn(len(C), wanted, generator=generator, dtype=C.dtype)
    return torch.linalg.qr(C @ probes).Q


class RFID(SetMetric):
    """rFID on the pooled features of every frame.

    Args:
        extractor: InceptionV3.
    """

    name = "rfid"

    def __init__(self, extractor: Inception) -> None:
        self.extractor = extractor

    def unavailable_reason(self, num_features: int) -> str | None:
        """Return a reason for fewer than two images, which have no covariance."""
        return None if num_features > 1 else "needs at least 2 images, got 1"

    def caveat(self, num_features: int) -> str | None:
        """Warn if the distance is overstated because there are few images."""
        if num_features >= RFID_FEW:
            return None
        return f"{num_features} images overstate the distance; compare on {RFID_FEW} or more"

    def numbers(
        self, originals: FeatureStatistics, reconstructions: FeatureStatistics
    ) -> dict[str, float]:
        """Return the Fréchet distance between originals and reconstructions."""
        return {"rfid": frechet_distance(originals, reconstructions)}


class RFVD(SetMetric):
    """rFVD, one feature per clip.

    Args:
        extractor: I3D.
        force: whether fewer than 256 clips are enough.
    """

    name = "rfvd"

    def __init__(self, extractor: I3D, force: bool) -> None:
        self.extractor, self.force = extractor, force

    def unavailable_reason(self, num_features: int) -> str | None:
        """Return a reason for fewer than 256 clips unless forced, and for fewer than two."""
        if num_features < 2:
            return f"needs at least 2 clips, got {num_features}"
        if num_features < RFVD_FEWEST and not self.force:
            return (
                f"needs at least {RFVD_FEWEST} clips, got {num_features}; "
                "--force computes it anyway"
            )
        return None

    def caveat(self, num_features: int) -> str | None:
        """Warn if the distance is overstated because there are few clips."""
        if num_features >= RFVD_FEW:
            return None
        return f"{num_features} clips overstate the distance; papers use {RFVD_FEW}"

    def numbers(
        self, originals: FeatureStatistics, reconstructions: FeatureStatistics
    ) -> dict[str, float]:
        """Return the Fréchet distance between originals and reconstructions."""
        return {"rfvd": frechet_distance(originals, reconstructions)}
