"""Rate-distortion plots: every tokenizer beside the curves of the codecs.

A sweep of a codec is drawn as a curve. Continuous tokenizers are rings: their rate is 16 bits per
latent value, without entropy coding. If a few exactly reproduced samples make the mean PSNR of a
row infinite, all rows are drawn at their pooled PSNR, so that none is left out.
"""

from collections.abc import Mapping, Sequence
from math import inf, isfinite

from ..harness.row import Row
from ..reconstructors.catalog import CODECS
from .chart import Series, axis_around, chart
from .table import METRIC_COLUMNS

PLOTTED_METRICS = ("psnr", "lpips_alex", "rfid", "ms_ssim", "ssim", "rfvd")
MAX_PLOTS = 3


def rate_plots(rows: Sequence[Row]) -> list[str]:
    """Plot the first three available metrics over bits per pixel, preferably PSNR, LPIPS, rFID."""
    comparable = _comparable(rows)
    colors = {name: color for color, name, _ in legend(rows)}
    plots = []
    for metric in _plotted_metrics(comparable):
        points = [row for row in comparable if _has_point(row, metric)]
        if len(points) >= 2 and len(plots) < MAX_PLOTS:
            plots.append(_plot(points, metric, colors))
    return plots


def legend(rows: Sequence[Row]) -> list[tuple[int, str, bool]]:
    """Return color, name, and whether it is a ring, of every curve and point."""
    comparable = _comparable(rows)
    metrics = _plotted_metrics(comparable)
    plotted = [row for row in comparable if any(_has_point(row, metric) for metric in metrics)]
    return [
        (color, name, members[0].values_per_pixel is not None)
        for color, (name, members) in enumerate(_families(plotted).items())
    ]


def rate_note(rows: Sequence[Row]) -> str:
    """Explain why the pooled PSNR is plotted, if it is."""
    if finite_psnr(_comparable(rows)) == "psnr":
        return ""
    return (
        "PSNR is pooled over all samples here: some are reproduced exactly, which makes the mean "
        "of a row infinite."
    )


def finite_psnr(rows: Sequence[Row]) -> str:
    """Name the PSNR to compare rows by: pooled if it is finite where the mean is infinite."""
    is_hidden = any(
        row.metrics.get("psnr") == inf and isfinite(row.metrics.get("psnr_pooled", inf))
        for row in rows
    )
    return "psnr_pooled" if is_hidden else "psnr"


def family_of(row: Row) -> str:
    """Name the curve that a row belongs to: its codec's, else its own."""
    kind = row.tokenizer.partition(":")[0]
    return kind if kind in CODECS or kind == "bicubic" else row.tokenizer


def _plot(rows: Sequence[Row], metric: str, colors: Mapping[str, int]) -> str:
    column = next(column for column in METRIC_COLUMNS if column.key == metric)
    rates = [_rate(row) for row in rows]
    values = [row.metrics[metric] for row in rows]
    series = []
    for name, members in _families(rows).items():
        ordered = sorted(members, key=_rate)
        is_curve = name != ordered[0].tokenizer
        series.append(
            Series(
                label=name,
                points=tuple((_rate(row), row.metrics[metric]) for row in ordered),
                notes=tuple(
                    f"{row.tokenizer}: {row.metrics[metric]:{column.form}} at {_rate(row):.4g} "
                    "bits per pixel"
                    for row in ordered
                ),
                color=colors[name],
                joined=is_curve,
                hollow=ordered[0].values_per_pixel is not None,
                labeled=not is_curve,
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


def _plotted_metrics(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the metrics to plot, the most important first."""
    return tuple(finite_psnr(rows) if metric == "psnr" else metric for metric in PLOTTED_METRICS)


def _has_point(row: Row, metric: str) -> bool:
    value = row.metrics.get(metric)
    is_coded = row.bits_per_pixel is not None and row.tokenizer != "identity"
    return is_coded and value is not None and isfinite(value)


def _rate(row: Row) -> float:
    assert row.bits_per_pixel is not None, "rows without a rate are not plotted"
    return row.bits_per_pixel
