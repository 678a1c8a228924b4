"""InceptionV3 of the published FID, as torch-fidelity converted it from TensorFlow.

    [0, 255] -> bilinear to 299 x 299 -> (x - 128) / 128 -> ... -> mean over 8 x 8 -> 2048 values

tf1          bilinear as in TensorFlow 1, source and target aligned at their top left corners
half_pixel   bilinear with aligned centers, and x / 127.5 - 1, as in pytorch-fid
"""

import io
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from ...output_file import file_sha256
from ..protocols.image_pair import PixelConvention, flatten_frames
from ..protocols.protocol import Protocol
from .extractor import Extractor
from .extractor_weights import ExtractorWeights, find

INCEPTION_WEIGHTS = ExtractorWeights(
    name="the FID's InceptionV3",
    file="weights-inception-2015-12-05-6726825d.pth",
    url=(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-inception-2015-12-05-6726825d.pth"
    ),
    sha256_prefix="6726825d",
    variable="VISTOK_INCEPTION_WEIGHTS",
)

SIDE = 299
FRAMES_AT_ONCE = 16


class Inception(Extractor):
    """InceptionV3, which maps a frame to 2048 values.

    Args:
        resize: tf1 or half_pixel; see the module.
        convention: pixel convention of its input.
        device: device it runs on.

    Raises:
        MissingWeights: the weights file was not found and could not be downloaded.
        ValueError: the file contains something else.
    """

    name = "inception"
    dim = 2048
    weights = INCEPTION_WEIGHTS

    def __init__(
        self, resize: Literal["tf1", "half_pixel"], convention: PixelConvention, device: str
    ) -> None:
        path = find(INCEPTION_WEIGHTS)
        self.sha256 = file_sha256(path)
        self.preprocessing, self.convention, self.device = resize, convention, device
        self.network = load_inception(path).to(device)

    @classmethod
    def of_protocol(cls, protocol: Protocol, device: str) -> "Inception":
        """Open the network under a protocol's rules."""
        return cls(protocol.inception_resize, protocol.inception_values, device)

    def features(self, clips: Float[Tensor, "B 3 T H W"]) -> Float32[Tensor, "B T 2048"]:
        """Return the pooled features of every frame."""
        chunks = flatten_frames(clips.to(self.device)).split(FRAMES_AT_ONCE)
        features = torch.cat([self._pooled(chunk) for chunk in chunks])
        return features.view(len(clips), -1, self.dim)

    def probabilities(
        self, features: Float[Tensor, "N 2048"]
    ) -> tuple[Float[Tensor, "N 1008"], Float[Tensor, "N 1008"]]:
        """Return class probabilities and their logarithms, without the last layer's bias."""
        weight: Any = self.network.fc.weight
        logits = features @ weight.to(features).T
        return logits.softmax(dim=1), logits.log_softmax(dim=1)

    def _pooled(self, x: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 2048"]:
        if self.preprocessing == "tf1":
            x = interpolate_bilinear_2d_like_tensorflow1x(x, (SIDE, SIDE), align_corners=False)
            x = (x - 128) / 128
        else:
            x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)
            x = x / 127.5 - 1
        for layer in self._layers():
            x = layer(x)
        return x.flatten(1)

    def _layers(self) -> list[nn.Module]:
        n = self.network
        return [
            n.Conv2d_1a_3x3, n.Conv2d_2a_3x3, n.Conv2d_2b_3x3, n.MaxPool_1,
            n.Conv2d_3b_1x1, n.Conv2d_4a_3x3, n.MaxPool_2,
            n.Mixed_5b, n.Mixed_5c, n.Mixed_5d,
            n.Mixed_6a, n.Mixed_6b, n.Mixed_6c, n.Mixed_6d, n.Mixed_6e,
            n.Mixed_7a, n.Mixed_7b, n.Mixed_7c, n.AvgPool,
        ]  # fmt: skip


def load_inception(path: Path) -> FeatureExtractorInceptionV3:
    """Build the network and load the weights of a file.

    Raises:
        ValueError: the file cannot be read, or contains something else.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} cannot be read as weights of {INCEPTION_WEIGHTS.name}") from error
    network = unloaded_inception()
    try:
        nn.Module.load_state_dict(network, stored, strict=True, assign=True)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"{path} does not contain {INCEPTION_WEIGHTS.name} (missing, unexpected or of another "
            f"shape are {_first_words(error)}); get {INCEPTION_WEIGHTS.url}"
        ) from error
    return network.float().eval().requires_grad_(False)


def unloaded_inception() -> FeatureExtractorInceptionV3:
    """Build the network without weights, on the meta device."""
    empty = io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    with torch.device("meta"):
        return _Unloaded("inception", ["2048"], feature_extractor_weights_path=empty)


class _Unloaded(FeatureExtractorInceptionV3):
    """The network, built without unpickling: torch-fidelity's constructor loads an empty file."""

    def load_state_dict(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, state_dict: dict[str, Any]
    ) -> None:
        """Ignore the constructor's empty file; `load_inception` loads safely and strictly."""
        assert not state_dict, "the constructor loads an empty file"


def _first_words(error: Exception) -> str:
    """Return the first problem that a strict load reports."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)][:200]
