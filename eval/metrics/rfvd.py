"""rFVD: Fréchet distance of original and reconstructed clips in I3D's features (arXiv 1812.01717).

All clips have one length, and frames go in as they were decoded, never through a lossy file. With
few clips the distance says more about their number than about the tokenizer, so it is refused.
"""

from ..features.i3d import I3D
from .feature_statistics import FeatureStatistics
from .frechet import frechet_distance
from .set_metric import SetMetric

FEWEST = 256
FEW = 2048


class RFVD(SetMetric):
    """rFVD, one feature per clip.

    Args:
        extractor: I3D.
        force: whether fewer than 256 clips are enough.
    """

    name = "rfvd"

    def __init__(self, extractor: I3D, force: bool) -> None:
        self.extractor, self.force = extractor, force

    def refusal(self, num_features: int) -> str | None:
        """Fewer than 256 clips, unless forced; a covariance needs two in any case."""
        if num_features < 2:
            return f"needs at least 2 clips, got {num_features}"
        if num_features < FEWEST and not self.force:
            return (
                f"needs at least {FEWEST} clips, got {num_features}; --force computes it all the "
                "same"
            )
        return None

    def caveat(self, num_features: int) -> str | None:
        """Few clips overstate the distance."""
        if num_features >= FEW:
            return None
        return f"{num_features} clips overstate the distance; papers take {FEW}"

    def numbers(
        self, originals: FeatureStatistics, reconstructions: FeatureStatistics
    ) -> dict[str, float]:
        """The distance."""
        return {"rfvd": frechet_distance(originals, reconstructions)}
