"""The kinds of batches of a run: how long and how large their samples are, and how many.

A run has one kind of batch, or two where images and clips are mixed by `image_ratio`. Rows in
`data.buckets` describe any number of kinds:

    buckets:
      - {frames: 17, size: 256, share: 0.6, batch_size: 4}
      - {frames: 1, size: 256, share: 0.4, batch_size: 48}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, PositiveInt, Tag

from ...config import ConfigSection

# Height and width in pixels.
Shape = tuple[int, int]
ShapeOption = tuple[PositiveInt, PositiveInt]


def _checked_size(value: Any) -> Any:
    """Return a size, of which a single height and width becomes a list of one.

    Raises:
        ValueError: the value is not a size at all.
    """
    parts = value if isinstance(value, list | tuple) else None
    if parts is not None and len(parts) == 2 and all(isinstance(part, int) for part in parts):
        return (tuple(parts),)
    is_list = parts and all(isinstance(part, list | tuple) for part in parts)
    if not (value is None or is_list or isinstance(value, int)):
        raise ValueError(
            f"must be a side in pixels, [height, width] or a list of these, got {value!r}"
        )
    return value


class BucketRow(ConfigSection):
    """One kind of batch: its length and size, its share of the steps, and its batch size."""

    model_config = ConfigDict(frozen=True)

    frames: PositiveInt | None = None
    """Frames per clip, 1 for images; null uses data.frames."""
    size: Annotated[
        PositiveInt | tuple[ShapeOption, ...] | None,
        BeforeValidator(
            _checked_size,
            json_schema_input_type=PositiveInt | ShapeOption | tuple[ShapeOption, ...] | None,
        ),
    ] = None
    """Side of the square crops, in pixels, [height, width], or a list of these, of which every file
    goes to the nearest aspect ratio; null uses data.size."""
    share: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """How often a step trains on this row, in proportion to the shares of the others."""
    batch_size: PositiveInt | None = None
    """Number of samples per device and micro-batch; null uses train.batch_size."""


def _checked_buckets(value: Any) -> Any:
    """Return a list whose entries are all sizes, or all rows.

    Raises:
        ValueError: the value is not such a list.
    """
    parts = value if isinstance(value, list | tuple) else [None]
    if not all(isinstance(part, list | tuple | BucketRow | Mapping) for part in parts):
        raise ValueError(
            "must be a list of [height, width] or of rows {frames, size, share, batch_size}, "
            f"got {value!r}"
        )
    if len({_tag([part]) for part in parts}) > 1:
        raise ValueError(
            "must be [height, width] throughout or rows {frames, size, share, batch_size} "
            "throughout; write a size as a row {size: [height, width]}"
        )
    return value


def _tag(buckets: Any) -> str:
    """Return the tag of a list of buckets that are all sizes, or all rows."""
    return "rows" if any(isinstance(part, BucketRow | Mapping) for part in buckets) else "sizes"


Buckets = Annotated[
    Annotated[tuple[ShapeOption, ...], Tag("sizes")]
    | Annotated[tuple[BucketRow, ...], Tag("rows")],
    Discriminator(_tag),
    BeforeValidator(
        _checked_buckets, json_schema_input_type=tuple[ShapeOption, ...] | tuple[BucketRow, ...]
    ),
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
