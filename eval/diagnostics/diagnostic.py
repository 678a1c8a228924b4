"""Base class of diagnostics: each provokes one kind of artifact and measures it.

Law, tested for each: a reconstructor with the artifact planted in it scores worse than the same one
without, and the images themselves are found to be clean.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ...data.pixels import to_pixels
from ..reconstructors.reconstructor import Clips, Reconstruction, Reconstructor
from .finding import Finding


@dataclass(frozen=True)
class DiagnosticInputs:
    """Images and clips that diagnostics may send through a reconstructor.

    Attributes:
        images: single frames.
        clips: videos of the same height and width; None if the source has none.
    """

    images: UInt8[Tensor, "N 3 1 H W"]
    clips: UInt8[Tensor, "M 3 T H W"] | None

    @property
    def size(self) -> int:
        """Side of the images, in pixels."""
        return self.images.shape[-1]


class NotExaminedError(ValueError):
    """A diagnostic cannot be run on these inputs or this reconstructor."""


class Diagnostic(ABC):
    """A test that provokes one kind of artifact.

    Attributes:
        name: name of the diagnostic.
    """

    name: str

    @abstractmethod
    def run(self, reconstructor: Reconstructor, inputs: DiagnosticInputs) -> Finding:
        """Run the diagnostic on a reconstructor.

        Raises:
            NotExaminedError: it cannot be run with this reconstructor or these inputs.
        """


def round_trip(reconstructor: Reconstructor, clips: Clips) -> Reconstruction:
    """Reconstruct clips that belong to no source; injected noise is the same in every call."""
    device = torch.device(reconstructor.device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        return reconstructor.reconstruct(
            clips, [f"synthetic image {index}" for index in range(len(clips))]
        )


def levels(result: Reconstruction) -> Float[Tensor, "B 3 T H W"]:
    """Return reconstructions in gray levels 0 ... 255, before rounding if they are available so."""
    pixels = to_pixels(result.clips) if result.pixels is None else result.pixels
    return (pixels.float().clamp(-1, 1).cpu() + 1) * 127.5


def amplified(error: Float[Tensor, "3 H W"], gain: float) -> UInt8[Tensor, "3 H W"]:
    """Draw a signed error in gray levels as an image around mid-gray."""
    return (error * gain + 128).round().clamp(0, 255).byte()


def side_by_side(images: Sequence[UInt8[Tensor, "3 H _"]]) -> UInt8[Tensor, "3 H _"]:
    """Join images of one height in a row."""
    return torch.cat(list(images), dim=2)
