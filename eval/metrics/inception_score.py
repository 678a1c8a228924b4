"""Inception score (arXiv 1606.03498): how sure the classes of single images are, and how varied.

    (1)  IS = exp(mean_x KL(p(y | x) || mean_x p(y | x)))

Of reconstructions alone, shuffled and cut into ten shares whose sizes differ by one at most: mean
over these, and their standard deviation with Bessel's correction, as torchmetrics takes it.
The class probabilities leave out the last layer's bias, as published scores do.
"""

import torch

from ..features.inception import Inception
from .feature_statistics import FeatureStatistics
from .metric import SetMetric

SHARES = 10


class InceptionScore(SetMetric):
    """The Inception score of the reconstructions.

    Args:
        extractor: InceptionV3.
        seed: of the shuffling.
    """

    name = "inception_score"
    compares = False
    keeps_features = True

    def __init__(self, extractor: Inception, seed: int) -> None:
        self.inception, self.extractor, self.seed = extractor, extractor, seed

    def unavailable_reason(self, num_features: int) -> str | None:
        """Every share needs an image."""
        if num_features >= SHARES:
            return None
        return f"needs at least {SHARES} pictures, one per share, got {num_features}"

    def caveat(self, num_features: int) -> str | None:
        """A score cannot see more classes than there are images in a share."""
        if num_features >= 50_000:
            return None
        return f"{num_features} pictures understate the score; papers take 50000"

    def numbers(
        self, originals: FeatureStatistics, reconstructions: FeatureStatistics
    ) -> dict[str, float]:
        """Mean and standard deviation over the shares."""
        features = reconstructions.kept.double()
        generator = torch.Generator().manual_seed(self.seed)
        shuffled = features[torch.randperm(len(features), generator=generator)]
        p, log_p = self.inception.probabilities(shuffled)
        scores = torch.stack(
            [
                (share * (log_share - share.mean(dim=0).log())).sum(dim=1).mean().exp()  # (1)
                for share, log_share in zip(
                    p.tensor_split(SHARES), log_p.tensor_split(SHARES), strict=True
                )
            ]
        )
        return {
            "inception_score": scores.mean().item(),
            "inception_score_std": scores.std().item(),
        }
