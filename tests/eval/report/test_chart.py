"""Charts: marks stand where their values say, ticks are round, curves are those of the codecs."""

import re
import xml.etree.ElementTree as ET

import pytest

from made_rows import discrete_row, preset_row, row, some_rows
from vistok.eval.report.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, Series, chart
from vistok.eval.report.code_plot import code_facts, code_plot
from vistok.eval.report.rate_plot import legend, rate_plots


def circles(svg: str) -> list[tuple[float, float]]:
    marks = ET.fromstring(svg).iter("circle")
    places = [(float(mark.attrib["cx"]), float(mark.attrib["cy"])) for mark in marks]
    assert places
    return places


def test_marks_stand_where_their_values_say():
    x, y = Axis("rate", 0.1, 10.0, "log"), Axis("dB", 20.0, 40.0, "linear")
    points = ((0.1, 20.0), (1.0, 30.0), (10.0, 40.0))
    svg = chart([Series("a", points, ("", "", ""), 0)], x, y, "name")
    middle = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    assert circles(svg) == [(LEFT, HEIGHT - BOTTOM), middle, (WIDTH - RIGHT, TOP)]


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis("", 0.09, 2.1, "log"), [0.1, 0.2, 0.5, 1, 2]),
        (Axis("", 19.0, 41.0, "linear"), [20, 25, 30, 35, 40]),
        (Axis("", 0.4, 0.9, "linear"), [0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
    ],
)
def test_ticks_are_round(axis, ticks):
    assert axis.ticks() == pytest.approx(ticks)


def test_names_cannot_break_out_of_the_chart():
    svg = chart(
        [Series("<b>&", ((1.0, 1.0),), ("<script>",), 0, labeled=True)],
        Axis("x", 0.5, 2.0, "log"),
        Axis("y", 0.0, 2.0, "linear"),
        '"><script>',
    )
    assert "<script>" not in svg
    ET.fromstring(svg)


def test_sweeps_are_curves_and_tokenizers_points():
    plots = rate_plots(some_rows())
    assert [re.findall('aria-label="(.*?) over', plot) for plot in plots] == [
        ["PSNR (dB)"],
        ["rFID"],
        ["SSIM"],
    ]
    # two tokenizers and three qualities; the images themselves are not a point of the plot
    assert len(circles(plots[0])) == 5
    assert plots[0].count("<polyline") == 1
    assert plots[0].count("hollow") == 1
    assert [(name, ring) for _, name, ring in legend(some_rows())] == [
        ("runs/fsq/tokenizer", False),
        ("diffusers:AutoencoderKL:vae", True),
        ("jpeg", False),
    ]


def test_a_plot_never_mixes_rules_and_needs_two_points():
    assert rate_plots([discrete_row(), preset_row()]) == []
    assert rate_plots([row("a", None, 20.0), row("b", None, 30.0)]) == []


def test_codes_are_drawn_group_by_group():
    plot = code_plot(discrete_row())
    assert plot is not None
    assert plot.count("<polyline") == 2
    assert "25.0 to 50.0 % of the codes are used" in code_facts(discrete_row())
    assert code_plot(row("jpeg:q=5", 0.2, 20.0)) is None
