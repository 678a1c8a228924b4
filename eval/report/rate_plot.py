"""Rate and distortion: every tokenizer beside the curves of the codecs.

Sweeps of a codec are joined to a curve. Continuous tokenizers are rings: their rate is that of 16
bits per latent value, which no entropy coder has seen. Where single perfect samples make the mean
PSNR of a row infinite, all rows stand at their pooled PSNR, so that none is left out.
"""

from collections.abc import Mapping, Sequence
from math import inf, isfinite

from ..harness.row import Row
from ..reconstructors.catalog import CODECS
from .chart import Series, axis_around, chart
from .table import METRIC_COLUMNS

SHOWN = ("psnr", "lpips_alex", "rfid", "ms_ssim", "ssim", "rfvd")
NUM_PLOTS = 3


def rate_plots(rows: Sequence[Row]) -> list[str]:
    """Up to three charts over bits per pixel: PSNR, LPIPS and rFID, or what there is instead."""
    comparable = _comparable(rows)
    colours = {name: colour for colour, name, _ in legend(rows)}
    plots = []
    for metric in _shown(comparable):
        points = [row for row in comparable if _has_point(row, metric)]
        if len(points) >= 2 and len(plots) < NUM_PLOTS:
            plots.append(_plot(points, metric, colours))
    return plots


def legend(rows: Sequence[Row]) -> list[tuple[int, str, bool]]:
    """Colour, name and whether a ring, of every curve and point."""
    comparable = _comparable(rows)
    metrics = _shown(comparable)
    shown = [row for row in comparable if any(_has_point(row, metric) for metric in metrics)]
    return [
        (colour, name, members[0].values_per_pixel is not None)
        for colour, (name, members) in enumerate(_families(shown).items())
    ]


def rate_note(rows: Sequence[Row]) -> str:
    """Why PSNR is drawn pooled, where it is."""
    if finite_psnr(_comparable(rows)) == "psnr":
        return ""
    return (
        "PSNR is pooled over all samples here: some are reproduced exactly, which makes the mean "
        "of a row infinite."
    )


def finite_psnr(rows: Sequence[Row]) -> str:
    """The PSNR to compare rows by: pooled where a mean is infinite and the pooled one is not."""
    is_hidden = any(
        row.metrics.get("psnr") == inf and isfinite(row.metrics.get("psnr_pooled", inf))
        for row in rows
    )
    return "psnr_pooled" if is_hidden else "psnr"


def family_of(row: Row) -> str:
    """The curve a row belongs to: its codec's, else its own."""
    kind = row.tokenizer.partition(":")[0]
    return kind if kind in CODECS or kind == "bicubic" else row.tokenizer


def _plot(rows: Sequence[Row], metric: str, colours: Mapping[str, int]) -> str:
    column = next(column for column in METRIC_COLUMNS if column.key == metric)
    rates = [_rate(row) for row in rows]
    values = [row.metrics[metric] for row in rows]
    series = []
    for name, members in _families(rows).items():
        ordered = sorted(members, key=_rate)
        is_curve = name != ordered[0].tokenizer
        series.append(
            Series(
                label=_short_name(name, list(colours)),
                points=tuple((_rate(row), row.metrics[metric]) for row in ordered),
                notes=tuple(
                    f"{row.tokenizer}: {row.metrics[metric]:{column.form}} at {_rate(row):.4g} "
                    "bits per pixel"
                    for row in ordered
                ),
                colour=colours[name],
                joined=is_curve,
                hollow=ordered[0].values_per_pixel is not None,
                labelled=not is_curve,
            )
        )
    return chart(
        series,
        axis_around("bits per pixel", rates, "log"),
        axis_around(column.title.replace(" × 1000", ""), values, "linear"),
        f"{column.title} over bits per pixel",
    )


def _families(rows: Sequence[Row]) -> dict[str, list[Row]]:
    families: dict[str, list[Row]] = {}
    for row in rows:
        families.setdefault(family_of(row), []).append(row)
    return families


def _comparable(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.protocol == rows[0].protocol]


def _shown(rows: Sequence[Row]) -> tuple[str, ...]:
    """The metrics to draw, the most telling first."""
    return tuple(finite_psnr(rows) if metric == "psnr" else metric for metric in SHOWN)


def _has_point(row: Row, metric: str) -> bool:
    value = row.metrics.get(metric)
    is_coded = row.bits_per_pixel is not None and row.tokenizer != "identity"
    return is_coded and value is not None and isfinite(value)


def _rate(row: Row) -> float:
    assert row.bits_per_pixel is not None, "rows without a rate are no points"
    return row.bits_per_pixel


def _short_name(name: str, others: Sequence[str]) -> str:
    """As many last parts of a path as tell it from the other names."""
    parts = name.rstrip("/").split("/")
    for count in range(1, len(parts)):
        ending = "/".join(parts[-count:])
        if not any(other != name and other.rstrip("/").endswith(ending) for other in others):
            return ending
    return name
