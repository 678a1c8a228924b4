"""Layout: where the tokens of a clip stand, and how much of it was padding."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

Size = tuple[int, int, int]


class LayoutJson(TypedDict):
    """A layout as plain JSON."""

    grids: list[list[int]]
    size: list[int]


@dataclass(frozen=True)
class Layout:
    """Shape of an encoding.

    Attributes:
        grids: (t, h, w) of every grid, in the order of the tokens; most models have one grid.
        size: (T, H, W) of the pixels before padding; decoding crops to it.
    """

    grids: tuple[Size, ...]
    size: Size

    @property
    def num_positions(self) -> int:
        """Positions of all grids together."""
        return sum(t * h * w for t, h, w in self.grids)

    @property
    def num_pixels(self) -> int:
        """Unpadded pixels of the clip."""
        T, H, W = self.size
        return T * H * W

    def to_json(self) -> LayoutJson:
        """Plain lists, for JSON."""
        return {"grids": [list(grid) for grid in self.grids], "size": list(self.size)}

    @classmethod
    def from_json(cls, value: Any) -> "Layout":
        """Read what `to_json` wrote."""
        return cls(tuple(_size(grid) for grid in value["grids"]), _size(value["size"]))


def _size(values: Sequence[int]) -> Size:
    t, h, w = (int(value) for value in values)
    return t, h, w
