"""The kinds of batches of a run: how long and how large their samples are, and how many.

A run has one kind of batch, or two where images and clips are mixed by `image_ratio`. Rows in
`data.buckets` describe any number of kinds:

    buckets:
      - {frames: 17, size: 256, share: 0.6, batch_size: 4}
      - {frames: 1, size: 256, share: 0.4, batch_size: 48}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, PositiveFloat, Tag

from ...config import ConfigSection, PositiveInt

# Height and width in pixels.
Shape = tuple[int, int]
ShapeOption = tuple[PositiveInt, PositiveInt]
ShapeOptions = Annotated[tuple[ShapeOption, ...], Field(min_length=1)]


class BucketRow(ConfigSection):
    """One kind of batch: its length and size, its share of the steps, and its batch size."""

    model_config = ConfigDict(frozen=True)

    frames: PositiveInt | None = None
    """Frames per clip, 1 for images; null uses data.frames."""
    size: PositiveInt | ShapeOption | ShapeOptions | None = None
    """Side of the square crops, in pixels, [height, width], or a list of these, of which every file
    goes to the nearest aspect ratio; null uses data.size."""
    share: PositiveFloat = 1.0
    """How often a step trains on this row, in proportion to the shares of the others."""
    batch_size: PositiveInt | None = None
    """Number of samples per device and micro-batch; null uses train.batch_size."""


def _tag(buckets: Any) -> str:
    """Return the tag of a list of buckets: rows, as soon as one of them is, or sizes."""
    parts = buckets if isinstance(buckets, list | tuple) else ()
    return "rows" if any(isinstance(part, BucketRow | Mapping) for part in parts) else "sizes"


Buckets = Annotated[
    Annotated[tuple[ShapeOption, ...], Tag("sizes")]
    | Annotated[tuple[BucketRow, ...], Tag("rows")],
    Discriminator(_tag),
]


@dataclass(frozen=True)
class BatchKind:
    """One kind of batch, with nothing left to defaults.

    Attributes:
        frames: number of frames of a sample.
        shapes: heights and widths of samples; those of one batch share one of them.
        share: relative frequency of the steps of this kind.
        batch_size: number of samples per device and micro-batch; None is that of the run.
    """

    frames: int
    shapes: tuple[Shape, ...]
    share: float
    batch_size: int | None = None


def same_aspect(shapes: Sequence[Shape]) -> bool:
    """Return whether all shapes have the same aspect ratio, so that every file fits all alike."""
    H, W = shapes[0]
    return all(h * W == w * H for h, w in shapes)


def check_one_aspect(kind: BatchKind) -> None:
    """Raise unless every file fits all shapes of a kind of batch alike.

    Raises:
        ValueError: the shapes have several aspect ratios.
    """
    if not same_aspect(kind.shapes):
        shapes = ", ".join(f"{H} x {W}" for H, W in kind.shapes)
        raise ValueError(
            f"shuffle=stream cannot sort files by aspect ratio, which needs all their sizes, but "
            f"buckets has {shapes}; use shuffle=exact, or one aspect ratio per row"
        )
