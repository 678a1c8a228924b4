"""Inception score (arXiv 1606.03498): high if each image's class is certain and classes vary.

    (1)  IS = exp(mean_x KL(p(y | x) || mean_x p(y | x)))

It is computed from the reconstructions alone, which are shuffled and divided into ten splits whose
sizes differ by at most one. Reported are the mean over splits and their standard deviation with
Bessel's correction, as in torchmetrics. The class probabilities leave out the last layer's bias, as
in published scores.

torchmetrics' class is not used: it shuffles by the global random state, and its splits are chunks
of equal size, of which some numbers of images fill fewer than ten (eleven images fill six).
"""

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from ..features.inception import Inception
from ..protocols.protocol import CANONICAL, Protocol, protocol_of
from .feature_statistics import FeatureStatistics
from .metric import SetMetric, value_of_set

SPLITS = 10


class InceptionScore(SetMetric):
    """The Inception score of the reconstructions, from 1 to 1008; at least ten images.

    `compute` returns the mean over splits; `compute_all` also their standard deviation,
    `inception_score_std`. `update` takes both sides like those of the other metrics, and ignores
    the originals.

    Args:
        extractor: InceptionV3; by default under the protocol's rules.
        seed: random seed of the shuffling.
        protocol: the rules or their name, for the default extractor.
        device: device of the default extractor.

    Raises:
        MissingWeights: Inception's weights file was not found and could not be downloaded.
    """

    name = "inception_score"
    compares = False
    keeps_features = True
    higher_is_better = True

    def __init__(
        self,
        extractor: Inception | None = None,
        seed: int = 0,
        *,
        protocol: Protocol | str = CANONICAL,
        device: str = "cpu",
    ) -> None:
        self.inception = extractor or Inception.of_protocol(protocol_of(protocol), device)
        super().__init__(self.inception)
        self.seed = seed

    def unavailable_reason(self, num_features: int) -> str | None:
        """Return a reason for fewer images than splits."""
        if num_features >= SPLITS:
            return None
        return f"needs at least {SPLITS} images, one per split, got {num_features}"

    def caveat(self, num_features: int) -> str | None:
        """Warn if there are few images: a split cannot contain more classes than images."""
        if num_features >= 50_000:
            return None
        return f"{num_features} images understate the score; papers use 50000"

    def numbers(
        self, originals: FeatureStatistics, reconstructions: FeatureStatistics
    ) -> dict[str, float]:
        """Return mean and standard deviation of the score over the splits."""
        features = reconstructions.kept.double()
        generator = torch.Generator().manual_seed(self.seed)
        shuffled = features[torch.randperm(len(features), generator=generator)]
        p, log_p = self.inception.probabilities(shuffled)
        scores = torch.stack(
            [
                (split * (log_split - split.mean(dim=0).log())).sum(dim=1).mean().exp()  # (1)
                for split, log_split in zip(
                    p.tensor_split(SPLITS), log_p.tensor_split(SPLITS), strict=True
                )
            ]
        )
        return {
            "inception_score": scores.mean().item(),
            "inception_score_std": scores.std().item(),
        }


def inception_score(
    images: Shaped[Tensor, "B 3 *frames H W"],
    protocol: Protocol | str = CANONICAL,
    seed: int = 0,
) -> Float64[Tensor, ""]:
    """Compute the Inception score of images (B, 3, H, W), or of the frames of (B, 3, T, H, W).

    It loads the network at every call, onto the device of the images; `InceptionScore` loads it
    once, and takes sets in batches.

    Args:
        images: floats in [-1, 1], or uint8; at least ten.
        protocol: the rules or their name; by default images are rounded to 8 bits.
        seed: random seed of the shuffling.

    Raises:
        ValueError: another shape, fewer than ten images, or values beyond [-1, 1].
        MissingWeights: Inception's weights file was not found and could not be downloaded.
    """
    metric = InceptionScore(seed=seed, protocol=protocol, device=str(images.device))
    return value_of_set(metric, images, images)
