"""Inception score (arXiv 1606.03498): high if each image's class is certain and classes vary.

    (1)  IS = exp(mean_x KL(p(y | x) || mean_x p(y | x)))

It is computed from the reconstructions alone, which are shuffled and divided into ten splits whose
sizes differ by at most one. Reported are the mean over splits and their standard deviation with
Bessel's correction, as in torchmetrics. The class probabilities leave out the last layer's bias, as
in published scores.
"""

import torch

from ..features.inception import Inception
from .feature_statistics import FeatureStatistics
from .metric import SetMetric

SPLITS = 10


class InceptionScore(SetMetric):
    """The Inception score of the reconstructions.

    Args:
        extractor: InceptionV3.
        seed: random seed of the shuffling.
    """

    name = "inception_score"
    compares = False
    keeps_features = True

    def __init__(self, extractor: Inception, seed: int) -> None:
        self.inception, self.extractor, self.seed = extractor, extractor, seed

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
