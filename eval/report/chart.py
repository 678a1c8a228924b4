"""Charts as inline SVG: sharp at every size, for light and dark pages, without a library.

Colors are classes (`s0` ... `s9`) that the page's style sheet defines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Literal

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 14, 46
NUM_COLORS = 10


@dataclass(frozen=True)
class Series:
    """Points that are drawn alike.

    Attributes:
        label: name of the series.
        points: pairs of x and y.
        notes: tooltip of each point.
        color: number of the color.
        joined: whether a line connects the points.
        hollow: whether the points are rings.
        labeled: whether the label is drawn beside the last point.
    """

    label: str
    points: tuple[tuple[float, float], ...]
    notes: tuple[str, ...]
    color: int
    joined: bool = False
    hollow: bool = False
    labeled: bool = False


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic axis of a chart.

    Attributes:
        title: title with unit.
        low: value at the start of the axis.
        high: value at the end of the axis.
        scale: linear or logarithmic.
    """

    title: str
    low: float
    high: float
    scale: Literal["linear", "log"]

    def share(self, value: float) -> float:
        """Return the position of a value, from 0 at the start to 1 at the end."""
        if self.scale == "log":
            return (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return about five round values."""
        if self.scale == "log":
            exponents = range(floor(log10(self.low)) - 1, ceil(log10(self.high)) + 1)
            decades = log10(self.high / self.low)
            steps = (1, 2, 5) if decades < 3.2 else (1,)
            ticks = [m * 10.0**e for e in exponents for m in steps]
            ticks = ticks if decades < 7 else ticks[:: ceil(decades / 6)]
        else:
            step = _round_step((self.high - self.low) / 5)
            ticks = [step * i for i in range(floor(self.low / step), ceil(self.high / step) + 1)]
        slack = 1e-9 * (self.high - self.low)
        return [value for value in ticks if self.low - slack <= value <= self.high + slack]


def axis_around(title: str, values: Sequence[float], scale: Literal["linear", "log"]) -> Axis:
    """Build an axis that contains the values, with a margin on both sides."""
    low, high = min(values), max(values)
    if scale == "log":
        margin = max((high / low) ** 0.06, 1.15)
        return Axis(title, low / margin, high * margin, scale)
    margin = 0.07 * (high - low) or 0.05 * abs(high) or 1.0
    return Axis(title, low - margin, high + margin, scale)


def chart(series: Sequence[Series], x: Axis, y: Axis, name: str) -> str:
    """Draw a chart as an SVG element.

    Args:
        series: series in the order in which they are drawn.
        x: horizontal axis.
        y: vertical axis.
        name: description of the chart for screen readers.
    """
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(name)}">',
        *_grid(x, y),
        *[part for one in series for part in _draw(one, x, y)],
        "</svg>",
    ]
    return "".join(parts)


def _grid(x: Axis, y: Axis) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value in x.ticks():
        px = _px(x, value)
        parts.append(f'<line class="grid" x1="{px}" x2="{px}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(
            f'<text x="{px}" y="{bottom + 16}" text-anchor="middle">{_short(value)}</text>'
        )
    for value in y.ticks():
        py = _py(y, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{py}" y2="{py}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{py + 4}" text-anchor="end">{_short(value)}</text>')
    middle = (LEFT + right) / 2, (TOP + bottom) / 2
    parts.append(
        f'<text class="title" x="{middle[0]}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(x.title)}</text>"
        f'<text class="title" transform="translate(13 {middle[1]}) rotate(-90)" '
        f'text-anchor="middle">{escape(y.title)}</text>'
    )
    return parts


def _draw(series: Series, x: Axis, y: Axis) -> list[str]:
    color = f"s{series.color % NUM_COLORS}"
    positions = [(_px(x, a), _py(y, b)) for a, b in series.points]
    parts = []
    if series.joined and len(positions) > 1:
        line = " ".join(f"{a},{b}" for a, b in positions)
        parts.append(f'<polyline class="{color}" points="{line}"/>')
    ring = " hollow" if series.hollow else ""
    radius = 2.6 if series.joined else 5
    for (a, b), note in zip(positions, series.notes, strict=True):
        parts.append(
            f'<circle class="{color}{ring}" cx="{a}" cy="{b}" r="{radius}">'
            f"<title>{escape(note)}</title></circle>"
        )
    if series.labeled:
        a, b = positions[-1]
        is_on_the_right = a > (LEFT + WIDTH) / 2
        anchor, shift = ("end", -9) if is_on_the_right else ("start", 9)
        parts.append(
            f'<text class="label" x="{a + shift}" y="{b - 7}" text-anchor="{anchor}">'
            f"{escape(series.label)}</text>"
        )
    return parts


def _px(axis: Axis, value: float) -> float:
    return round(LEFT + axis.share(value) * (WIDTH - LEFT - RIGHT), 1)


def _py(axis: Axis, value: float) -> float:
    return round(HEIGHT - BOTTOM - axis.share(value) * (HEIGHT - TOP - BOTTOM), 1)


def _round_step(step: float) -> float:
    """Round a step up to the next of 1, 2, 5, 10, ..."""
    power = 10.0 ** floor(log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))


def _short(value: float) -> str:
    if value and abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:.6g}"
