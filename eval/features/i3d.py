"""I3D of the published FVD: StyleGAN-V's TorchScript file (arXiv 2112.14683).

The file brings its own preparation: [0, 255] to [-1, 1], and bilinear to 224 x 224.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from ..metrics.metric import NotApplicableError
from ..protocol import Values
from .extractor import Extractor
from .extractor_weights import ExtractorWeights, file_sha256, find

I3D_WEIGHTS = ExtractorWeights(
    name="the FVD's I3D",
    file="i3d_torchscript.pt",
    url="https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
    sha256_prefix="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
    variable="VISTOK_I3D_WEIGHTS",
)

CLIPS_AT_ONCE = 4


class I3D(Extractor):
    """400 values per clip, before the softmax.

    Args:
        values: which numbers it is shown.
        frames: frames of every clip.
        device: where it runs.

    Raises:
        MissingWeights: the file is neither here nor to be had.
        ValueError: it is no TorchScript of this kind.
        NotApplicableError: it cannot take clips of so many frames.
    """

    name = "i3d"
    preprocessing = "stylegan-v"
    weights = I3D_WEIGHTS

    def __init__(self, values: Values, frames: int, device: str) -> None:
        path = find(I3D_WEIGHTS)
        self.sha256 = file_sha256(path)
        self.values, self.device = values, device
        self.network = load_i3d(path, device)
        self.dim = self._answer_to_grey(path, frames).shape[-1]

    def features(self, clips: Float[Tensor, "B 3 T H W"]) -> Float32[Tensor, "B 1 D"]:
        """One feature per clip."""
        shares = clips.to(self.device).split(CLIPS_AT_ONCE)
        return torch.cat([self._answer(share) for share in shares]).float().unsqueeze(1)

    def _answer(self, clips: Tensor) -> Tensor:
        return self.network(clips, rescale=True, resize=True, return_features=True)

    @torch.inference_mode()
    def _answer_to_grey(self, path: Path, frames: int) -> Tensor:
        """Ask once, so that a file or a length that does not fit is known before any work."""
        grey = torch.full((1, 3, frames, 64, 64), 127.5, device=self.device)
        try:
            answer: Any = self._answer(grey)
        except (RuntimeError, TypeError) as error:
            raise NotApplicableError(
                f"{path} does not take clips of {frames} frames as StyleGAN-V's I3D does "
                f"({str(error).strip().splitlines()[-1]}); it wants about 16 or more"
            ) from error
        if not isinstance(answer, Tensor) or answer.ndim != 2:
            raise ValueError(
                f"{path} must answer with features (B, D) as {I3D_WEIGHTS.name} does; "
                f"get {I3D_WEIGHTS.url}"
            )
        return answer


def load_i3d(path: Path, device: str) -> torch.jit.ScriptModule:
    """The TorchScript of a file.

    Raises:
        ValueError: it is none.
    """
    try:
        # The published file is TorchScript, whatever torch thinks of the format by now.
        with warnings.catch_warnings(action="ignore"):
            return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path} is no TorchScript file; get {I3D_WEIGHTS.name} from {I3D_WEIGHTS.url}"
        ) from error
