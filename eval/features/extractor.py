"""Feature extractors: pretrained networks for rFID, rFVD, KID and the Inception score."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Float32
from torch import Tensor

from ..protocols.image_pair import PixelConvention
from .extractor_weights import ExtractorWeights


class Extractor(ABC):
    """A network that maps clips to features.

    Law: a clip's features do not depend on the rest of its batch (up to the network's rounding).

    Attributes:
        name: name of the network.
        weights: the published weights file.
        sha256: hash of the file that was loaded.
        convention: pixel convention of its input; see `image_pair.py`.
        preprocessing: name of the transform before the first layer.
        dim: number of values per feature.
    """

    name: str
    weights: ExtractorWeights
    sha256: str
    convention: PixelConvention
    preprocessing: str
    dim: int

    @abstractmethod
    def features(self, clips: Float[Tensor, "B 3 T H W"]) -> Float32[Tensor, "B n D"]:
        """Return the features of clips in [0, 255]: one per frame, or one per clip."""

    @property
    def caveat(self) -> str | None:
        """A warning if the weights are not the published ones, else None."""
        return self.weights.caveat(self.sha256)
