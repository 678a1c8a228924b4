"""Flicker: what changes from frame to frame of a still image is measured in gray levels."""

import pytest
import torch

from planted import Planted, photos
from vistok.eval.diagnostics.diagnostic import DiagnosticInputs
from vistok.eval.diagnostics.flicker import Flicker


def breathing(x):
    return x * 0.9 + 10 + 2.0 * (torch.arange(x.shape[2]) % 2).float().view(1, 1, -1, 1, 1)


def test_planted_flicker_is_measured():
    finding = Flicker().run(Planted(breathing), DiagnosticInputs(photos(32), None))
    assert finding.numbers["flicker_levels"] == pytest.approx(2.0, abs=1e-3)
    assert "changes by 2.00 gray levels" in finding.summary


def test_a_blurred_but_steady_image_does_not_flicker():
    finding = Flicker().run(Planted(lambda x: x.roll(1, -1)), DiagnosticInputs(photos(32), None))
    assert finding.numbers == {"flicker_levels": 0.0, "worst_transition_levels": 0.0}
    assert finding.summary == "a still image stays still"
