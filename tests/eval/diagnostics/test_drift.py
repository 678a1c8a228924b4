"""Drift: what adds up over round trips is told from what is lost once."""

import math

import pytest

from planted import Planted, photos
from vistok.eval.diagnostics.diagnostic import DiagnosticInputs
from vistok.eval.diagnostics.drift import Drift

DARK = photos(32) // 2


def test_a_color_cast_adds_up():
    def redder(x):
        x = x.clone()
        x[:, 0] += 3.0
        return x

    numbers = Drift().run(Planted(redder), DiagnosticInputs(DARK, None)).numbers
    shifts = [numbers[f"shift_{trips}_levels"] for trips in (1, 2, 4, 8)]
    assert shifts == pytest.approx([3, 6, 12, 24], abs=0.05)
    assert numbers["psnr_8_db"] == pytest.approx(numbers["psnr_1_db"] - 20 * math.log10(8), abs=0.1)


def test_a_loss_that_happens_once_is_no_drift():
    coarse = Planted(lambda x: (x / 16).round() * 16)
    finding = Drift().run(coarse, DiagnosticInputs(DARK, None))
    assert finding.numbers["psnr_1_db"] == finding.numbers["psnr_8_db"] < 50
    assert finding.summary == "eight round trips lose 0.00 dB compared to one; colors do not drift"


def test_the_images_themselves_do_not_drift():
    finding = Drift().run(Planted(), DiagnosticInputs(DARK, None))
    assert finding.numbers["psnr_8_db"] == math.inf
    assert finding.numbers["shift_8_levels"] == 0
