"""Flat fields: constant colours in, and every structure that comes out is the decoder's own.

Upsampling by strides leaves patterns that repeat every stride: checkerboards. With R the residual
(output minus its mean) of n x n pixels and F its discrete Fourier transform, a pattern of period s
lives in the bins whose frequencies are multiples of n / s:

    rms_s^2 = sum over bins (u, v) of period s, and of no shorter one, of |F(u, v)|^2 / n^4     (1)

in grey levels. White noise of the same strength would leave only a share (s / n)^2 of its energy
there.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..reconstructors.reconstructor import Reconstructor
from .diagnostic import (
    Diagnostic,
    DiagnosticInputs,
    NotExaminedError,
    amplified,
    levels,
    round_trip,
    side_by_side,
)
from .finding import Finding

STRIDES = (2, 4, 8, 16, 32)
LARGEST = STRIDES[-1]
COLOURS = (
    (0, 0, 0),
    (64, 64, 64),
    (128, 128, 128),
    (192, 192, 192),
    (255, 255, 255),
    (200, 60, 50),
    (60, 160, 70),
    (50, 80, 190),
)
MID_GREY = 2
GAIN = 16.0
VISIBLE = 0.5
"""Grey levels of a regular pattern that can be seen on a flat surface."""


class FlatField(Diagnostic):
    """Regular patterns on constant colours."""

    name = "flat_field"

    def run(self, reconstructor: Reconstructor, material: DiagnosticInputs) -> Finding:
        """Measure the patterns of every stride, away from the borders."""
        size = material.size
        n = size * 3 // 4 // LARGEST * LARGEST
        if n < 2 * LARGEST:
            raise NotExaminedError(f"needs pictures of at least 86 pixels, got {size}")
        colours = torch.tensor(COLOURS, dtype=torch.uint8)
        fields = colours[:, :, None, None, None].expand(-1, -1, 1, size, size).contiguous()
        answers = levels(round_trip(reconstructor, fields))[:, :, 0]
        edge = (size - n) // 2
        inner = answers[..., edge : edge + n, edge : edge + n]
        residual = inner - inner.mean(dim=(2, 3), keepdim=True)
        patterns = stride_patterns(residual)
        bias = (inner.mean(dim=(2, 3)) - colours).abs().mean().item()
        strongest = max(patterns, key=lambda stride: patterns[stride])
        numbers = {f"stride_{s}_levels": value for s, value in patterns.items()}
        reading = (
            f"a pattern repeats every {strongest} pixels with {patterns[strongest]:.2f} grey levels"
            if patterns[strongest] >= VISIBLE
            else f"no visible pattern (strongest: {patterns[strongest]:.3f} grey levels)"
        )
        return Finding(
            self.name,
            reconstructor.name,
            {**numbers, "colour_error_levels": bias},
            reading,
            picture=side_by_side(
                [amplified(residual[MID_GREY], GAIN), _spectrum(residual[MID_GREY])]
            ),
        )


def stride_patterns(residual: Float[Tensor, "B 3 n n"]) -> dict[int, float]:
    """Strength of the patterns of every stride, in the residual's unit (RMS)."""
    n = residual.shape[-1]
    power = torch.fft.fft2(residual.double()).abs().square().mean(dim=(0, 1)) / n**4
    found, shorter = {}, torch.zeros(n, n, dtype=torch.bool)
    shorter[0, 0] = True
    for stride in STRIDES:
        bins = _bins(n, stride)
        # (1)
        found[stride] = power[bins & ~shorter].sum().sqrt().item()
        shorter |= bins
    return found


def _bins(n: int, stride: int) -> Bool[Tensor, "n n"]:
    """Frequencies of patterns that repeat every `stride` pixels."""
    multiples = torch.arange(n) % (n // stride) == 0
    return multiples[:, None] & multiples[None, :]


def _spectrum(residual: Float[Tensor, "3 n n"]) -> Tensor:
    """Amplitudes from 0.001 to 1 grey level on a logarithmic scale, frequency 0 in the middle."""
    n = residual.shape[-1]
    amplitude = torch.fft.fft2(residual.double()).abs().mean(dim=0) / n**2
    decades = (torch.fft.fftshift(amplitude).clamp(min=1e-3).log10() / 3 + 1).clamp(max=1)
    return (255 * decades).round().byte().expand(3, -1, -1).contiguous()
