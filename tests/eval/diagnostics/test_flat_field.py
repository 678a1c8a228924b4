"""Flat fields: a planted pattern is found at its stride with its strength, and nowhere else."""

import pytest
import torch

from planted import Planted, photos
from vistok.eval.diagnostics.diagnostic import DiagnosticInputs, NotExaminedError
from vistok.eval.diagnostics.flat_field import STRIDES, FlatField, stride_patterns


def checkerboard(stride: int, strength: float):
    """Every stride-th column is brighter; its RMS is strength * sqrt(p (1 - p)), p = 1 / stride."""

    def plant(x):
        columns = (torch.arange(x.shape[-1]) % stride == 0).float()
        return x * 0.9 + 10 + strength * columns

    return plant


@pytest.mark.parametrize("stride", STRIDES)
def test_a_pattern_is_found_at_its_stride(stride):
    inputs = DiagnosticInputs(photos(128), None)
    finding = FlatField().run(Planted(checkerboard(stride, 8.0)), inputs)
    strengths = {s: finding.numbers[f"stride_{s}_levels"] for s in STRIDES}
    share = 1 / stride
    # Impulses every s pixels have harmonics at s/2, s/4, ...: those count for the shorter strides.
    total = sum(value**2 for value in strengths.values()) ** 0.5
    assert total == pytest.approx(8.0 * (share * (1 - share)) ** 0.5, rel=0.01)
    assert all(value < 1e-3 for s, value in strengths.items() if s > stride)
    assert strengths[stride] > 0.3
    assert "a pattern repeats" in finding.summary


def test_the_images_themselves_are_clean():
    finding = FlatField().run(Planted(), DiagnosticInputs(photos(96), None))
    assert max(finding.numbers.values()) < 1e-4
    assert "no visible pattern" in finding.summary


def test_a_sine_has_its_closed_form_strength_and_noise_is_spread():
    n = 96
    wave = 6.0 * torch.sin(2 * torch.pi * torch.arange(n) / 16)
    found = stride_patterns(wave.expand(1, 3, n, n).clone())
    assert found[16] == pytest.approx(6 / 2**0.5, rel=1e-5)
    assert max(value for stride, value in found.items() if stride != 16) < 1e-5
    noise = torch.randn(8, 3, n, n, generator=torch.Generator().manual_seed(0))
    # White noise leaves the share of the bins: 4 of 96 squared for stride 2, one of them constant.
    assert stride_patterns(noise)[2] == pytest.approx((3 / n**2) ** 0.5, rel=0.3)


def test_colors_that_shift_are_told():
    finding = FlatField().run(
        Planted(lambda x: (x + 5).clamp(max=250)), DiagnosticInputs(photos(96), None)
    )
    assert finding.numbers["colour_error_levels"] > 4


def test_small_images_are_not_examined():
    with pytest.raises(NotExaminedError, match="at least 86 pixels, got 64"):
        FlatField().run(Planted(), DiagnosticInputs(photos(64), None))
