"""A feature extractor without weights: a few means of every frame."""

from jaxtyping import Float, Float32
from torch import Tensor

from vistok.eval.features.extractor import Extractor
from vistok.eval.features.inception import INCEPTION_WEIGHTS
from vistok.eval.protocols.image_pair import flatten_frames


class MadeExtractor(Extractor):
    """Maps a frame to its means over the channels of a 2 x 2 grid."""

    name, sha256, preprocessing, convention, dim = "made", "0" * 64, "none", "rounded", 12
    weights = INCEPTION_WEIGHTS

    def features(self, clips: Float[Tensor, "B 3 T H W"]) -> Float32[Tensor, "B n D"]:
        """Return one feature per frame."""
        frames = flatten_frames(clips.float())
        B, C, H, W = frames.shape
        means = frames.view(B, C, 2, H // 2, 2, W // 2).mean(dim=(3, 5))
        return means.view(len(clips), -1, self.dim)
