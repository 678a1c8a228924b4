"""Feature extractors: pretrained networks whose features Fréchet distances and others compare."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Float32
from torch import Tensor

from ..protocol import Values
from .extractor_weights import ExtractorWeights


class Extractor(ABC):
    """A network from clips to features.

    Law: a clip's features do not depend on what shares its batch (to the network's rounding).

    Attributes:
        name: of the network.
        weights: the published file.
        sha256: of the file that was loaded.
        values: which numbers it is shown; see `pair.py`.
        preprocessing: what is done to them before the first layer, in a word.
        dim: values per feature.
    """

    name: str
    weights: ExtractorWeights
    sha256: str
    values: Values
    preprocessing: str
    dim: int

    @abstractmethod
    def features(self, clips: Float[Tensor, "B 3 T H W"]) -> Float32[Tensor, "B n D"]:
        """The features of clips in [0, 255]: one per frame, or one per clip."""

    @property
    def caveat(self) -> str | None:
        """That the weights are not the published ones; None where they are."""
        return self.weights.caveat(self.sha256)
