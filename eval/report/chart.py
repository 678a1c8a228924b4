"""Charts as inline SVG: crisp at every size, readable in light and dark, no library in the page.

Colours are classes (`s0` ... `s9`) that the page's style sheet fills.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Literal

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 14, 46
NUM_COLOURS = 10


@dataclass(frozen=True)
class Series:
    """Points of one kind.

    Attributes:
        label: its name.
        points: pairs of x and y.
        notes: what is told of each point.
        colour: number of its colour.
        joined: whether a line runs through the points.
        hollow: whether its points are rings.
        labelled: whether its name stands beside its last point.
    """

    label: str
    points: tuple[tuple[float, float], ...]
    notes: tuple[str, ...]
    colour: int
    joined: bool = False
    hollow: bool = False
    labelled: bool = False


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        title: with unit.
        low: value at its start.
        high: value at its end.
        scale: linear or logarithmic.
    """

    title: str
    low: float
    high: float
    scale: Literal["linear", "log"]

    def share(self, value: float) -> float:
        """Where a value lies, from 0 at the start to 1 at the end."""
        if self.scale == "log":
            return (log10(value) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values, about five of them."""
        if self.scale == "log":
            exponents = range(floor(log10(self.low)) - 1, ceil(log10(self.high)) + 1)
            decades = log10(self.high / self.low)
            steps = (1, 2, 5) if decades < 3.2 else (1,)
            found = [m * 10.0**e for e in exponents for m in steps]
            found = found if decades < 7 else found[:: ceil(decades / 6)]
        else:
            step = _round_step((self.high - self.low) / 5)
            found = [step * i for i in range(floor(self.low / step), ceil(self.high / step) + 1)]
        slack = 1e-9 * (self.high - self.low)
        return [value for value in found if self.low - slack <= value <= self.high + slack]


def axis_around(title: str, values: Sequence[float], scale: Literal["linear", "log"]) -> Axis:
    """An axis that holds the values with a little room on both sides."""
    low, high = min(values), max(values)
    if scale == "log":
        room = max((high / low) ** 0.06, 1.15)
        return Axis(title, low / room, high * room, scale)
    room = 0.07 * (high - low) or 0.05 * abs(high) or 1.0
    return Axis(title, low - room, high + room, scale)


def chart(series: Sequence[Series], x: Axis, y: Axis, name: str) -> str:
    """An SVG element.

    Args:
        series: drawn in order.
        x: horizontal axis.
        y: vertical axis.
        name: what it shows, for those who cannot see it.
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
    colour = f"s{series.colour % NUM_COLOURS}"
    places = [(_px(x, a), _py(y, b)) for a, b in series.points]
    parts = []
    if series.joined and len(places) > 1:
        line = " ".join(f"{a},{b}" for a, b in places)
        parts.append(f'<polyline class="{colour}" points="{line}"/>')
    ring = " hollow" if series.hollow else ""
    radius = 2.6 if series.joined else 5
    for (a, b), note in zip(places, series.notes, strict=True):
        parts.append(
            f'<circle class="{colour}{ring}" cx="{a}" cy="{b}" r="{radius}">'
            f"<title>{escape(note)}</title></circle>"
        )
    if series.labelled:
        a, b = places[-1]
        on_the_left = a > (LEFT + WIDTH) / 2
        anchor, shift = ("end", -9) if on_the_left else ("start", 9)
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
    """The next of 1, 2, 5, 10, ... above a step."""
    power = 10.0 ** floor(log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))


def _short(value: float) -> str:
    if value and abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:.6g}"
