"""I3D of the published FVD: StyleGAN-V's TorchScript file (arXiv 2112.14683).

The file contains its own preprocessing: [0, 255] to [-1, 1], and bilinear to 224 x 224.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from ...output_file import file_sha256
from ..protocols.image_pair import PixelConvention
from ..protocols.not_applicable import NotApplicableError
from .extractor import Extractor
from .extractor_weights import ExtractorWeights, find

I3D_WEIGHTS = ExtractorWeights(
    name="the FVD's I3D",
    file="i3d_torchscript.pt",
    url="https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
    sha256_prefix="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
    variable="VISTOK_I3D_WEIGHTS",
)

CLIPS_AT_ONCE = 4


class I3D(Extractor):
    """I3D, which maps a clip to 400 values, taken before the softmax.

    Args:
        convention: pixel convention of its input.
        frames: number of frames of every clip.
        device: device it runs on.

    Raises:
        MissingWeights: the weights file was not found and could not be downloaded.
        ValueError: the file is not a TorchScript file of this kind.
        NotApplicableError: the network does not take clips of this length.
    """

    name = "i3d"
    preprocessing = "stylegan-v"
    weights = I3D_WEIGHTS

    def __init__(self, convention: PixelConvention, frames: int, device: str) -> None:
        path = find(I3D_WEIGHTS)
        self.sha256 = file_sha256(path)
        self.convention, self.device = convention, device
        self.network = load_i3d(path, device)
        self.dim = self._probe(path, frames).shape[-1]

    def features(self, clips: Float[Tensor, "B 3 T H W"]) -> Float32[Tensor, "B 1 D"]:
        """Return one feature per clip."""
        chunks = clips.to(self.device).split(CLIPS_AT_ONCE)
        return torch.cat([self._forward(chunk) for chunk in chunks]).float().unsqueeze(1)

    def _forward(self, clips: Tensor) -> Tensor:
        return self.network(clips, rescale=True, resize=True, return_features=True)

    @torch.inference_mode()
    def _probe(self, path: Path, frames: int) -> Tensor:
        """Run a gray clip, so that a wrong file or clip length is reported before any work."""
        gray = torch.full((1, 3, frames, 64, 64), 127.5, device=self.device)
        try:
            features: Any = self._forward(gray)
        except (RuntimeError, TypeError) as error:
            raise NotApplicableError(
                f"{path} does not take clips of {frames} frames as StyleGAN-V's I3D does "
                f"({str(error).strip().splitlines()[-1]}); it needs about 16 or more"
            ) from error
        if not isinstance(features, Tensor) or features.ndim != 2:
            raise ValueError(
                f"{path} must return features (B, D) as {I3D_WEIGHTS.name} does; "
                f"get {I3D_WEIGHTS.url}"
            )
        return features


def load_i3d(path: Path, device: str) -> torch.jit.ScriptModule:
    """Load the TorchScript module of a file.

    Raises:
        ValueError: the file is not a TorchScript file.
    """
    try:
        # The published file is TorchScript, which torch has deprecated.
        with warnings.catch_warnings(action="ignore"):
            return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a TorchScript file; get {I3D_WEIGHTS.name} from {I3D_WEIGHTS.url}"
        ) from error
