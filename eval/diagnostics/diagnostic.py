"""What every artifact test is: it provokes one kind of artifact and measures it.

Law, tested for each: a subject with that artifact planted in it scores worse than the same subject
without, and the images themselves score as clean.
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
    """Images and clips that tests may send through a subject.

    Attributes:
        images: single frames.
        clips: videos of the same height and width; None where the source has none.
    """

    pictures: UInt8[Tensor, "N 3 1 H W"]
    clips: UInt8[Tensor, "M 3 T H W"] | None

    @property
    def size(self) -> int:
        """Side of the images."""
        return self.pictures.shape[-1]


class NotExaminedError(ValueError):
    """A test that cannot be made here, and why."""


class Diagnostic(ABC):
    """One test.

    Attributes:
        name: of the test.
    """

    name: str

    @abstractmethod
    def run(self, reconstructor: Reconstructor, material: DiagnosticInputs) -> Finding:
        """Run the test.

        Raises:
            NotExaminedError: it cannot be made with this subject or this material.
        """


def round_trip(reconstructor: Reconstructor, clips: Clips) -> Reconstruction:
    """Images that belong to no source through a subject; injected noise is the same each time."""
    place = torch.device(reconstructor.device)
    with torch.random.fork_rng([place] if place.type == "cuda" else []):
        torch.manual_seed(0)
        return reconstructor.reconstruct(
            clips, [f"made picture {index}" for index in range(len(clips))]
        )


def levels(result: Reconstruction) -> Float[Tensor, "B 3 T H W"]:
    """Reconstructions in grey levels 0 ... 255, unrounded where the subject gives them so."""
    pixels = to_pixels(result.clips) if result.pixels is None else result.pixels
    return (pixels.float().clamp(-1, 1).cpu() + 1) * 127.5


def amplified(error: Float[Tensor, "3 H W"], gain: float) -> UInt8[Tensor, "3 H W"]:
    """A signed error in grey levels as an image around mid-grey."""
    return (error * gain + 128).round().clamp(0, 255).byte()


def side_by_side(pictures: Sequence[UInt8[Tensor, "3 H _"]]) -> UInt8[Tensor, "3 H _"]:
    """Images of one height in a row."""
    return torch.cat(list(pictures), dim=2)
