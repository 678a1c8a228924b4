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

torchmetrics' FID is not used: it takes the eigenvalues of C1 C2, which is not symmetric. If there
are fewer samples than values, their rounding errors change the distance from about the seventh
digit on, where (2) is exact to the thirteenth. It has no rFVD.
"""

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from ..features.extractor import Extractor
from ..features.i3d import I3D
from ..features.inception import Inception
from ..protocols.protocol import CANONICAL, Protocol, protocol_of
from .feature_statistics import FeatureStatistics
from .metric import SetMetric, value_of_set

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
    """rFID on the pooled features of every frame, from 0 for equal sets; at least two images.

    Args:
        extractor: a network of images; by default InceptionV3 under the protocol's rules.
        protocol: the rules or their name, for the default extractor.
        device: device of the default extractor.

    Raises:
        MissingWeights: Inception's weights file was not found and could not be downloaded.
    """

    name = "rfid"
    higher_is_better = False

    def __init__(
        self,
        extractor: Extractor | None = None,
        *,
        protocol: Protocol | str = CANONICAL,
        device: str = "cpu",
    ) -> None:
        super().__init__(extractor or Inception.of_protocol(protocol_of(protocol), device))

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
    """rFVD, one feature per clip, from 0 for equal sets; clips of equal length.

    Args:
        extractor: a network of clips; by default I3D under the protocol's rules.
        force: whether fewer than 256 clips are enough.
        frames: number of frames of every clip, for the default extractor.
        protocol: the rules or their name, for the default extractor.
        device: device of the default extractor.

    Raises:
        MissingWeights: I3D's weights file was not found and could not be downloaded.
        NotApplicableError: I3D does not take clips of this length.
    """

    name = "rfvd"
    higher_is_better = False

    def __init__(
        self,
        extractor: Extractor | None = None,
        force: bool = False,
        *,
        frames: int = 16,
        protocol: Protocol | str = CANONICAL,
        device: str = "cpu",
    ) -> None:
        rules = protocol_of(protocol)
        super().__init__(extractor or I3D(rules.video_values, frames, device))
        self.force = force

    def unavailable_reason(self, num_features: int) -> str | None:
        """Return a reason for fewer than 256 clips unless forced, and for fewer than two."""
        if num_features < 2:
            return f"needs at least 2 clips, got {num_features}"
        if num_features < RFVD_FEWEST and not self.force:
            return (
                f"needs at least {RFVD_FEWEST} clips, got {num_features}; "
                "force (--force) computes it anyway"
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


def rfid(
    originals: Shaped[Tensor, "B 3 *frames H W"],
    reconstructions: Shaped[Tensor, "B 3 *frames H W"],
    protocol: Protocol | str = CANONICAL,
) -> Float64[Tensor, ""]:
    """Compute the rFID of images (B, 3, H, W), or of the frames of clips (B, 3, T, H, W).

    It loads the network at every call, onto the device of the originals; `RFID` loads it once, and
    takes sets in batches.

    Args:
        originals: floats in [-1, 1], or uint8; at least two images.
        reconstructions: floats, clamped to [-1, 1], or uint8; of the same shape.
        protocol: the rules or their name; by default both sides are rounded to 8 bits.

    Raises:
        ValueError: another shape, a single image, or originals beyond [-1, 1].
        MissingWeights: Inception's weights file was not found and could not be downloaded.
    """
    metric = RFID(protocol=protocol, device=str(originals.device))
    return value_of_set(metric, originals, reconstructions)


def rfvd(
    originals: Shaped[Tensor, "B 3 T H W"],
    reconstructions: Shaped[Tensor, "B 3 T H W"],
    protocol: Protocol | str = CANONICAL,
    force: bool = False,
) -> Float64[Tensor, ""]:
    """Compute the rFVD of clips (B, 3, T, H, W).

    It loads the network at every call, onto the device of the originals; `RFVD` loads it once, and
    takes sets in batches.

    Args:
        originals: floats in [-1, 1], or uint8; at least 256 clips unless forced.
        reconstructions: floats, clamped to [-1, 1], or uint8; of the same shape.
        protocol: the rules or their name; by default both sides are rounded to 8 bits.
        force: whether fewer than 256 clips are enough.

    Raises:
        ValueError: another shape, too few clips, or originals beyond [-1, 1].
        MissingWeights: I3D's weights file was not found and could not be downloaded.
    """
    frames, device = originals.shape[2], str(originals.device)
    metric = RFVD(force=force, frames=frames, protocol=protocol, device=device)
    return value_of_set(metric, originals, reconstructions)
