"""Flat fields: for constant colors, every structure in the output is an artifact of the decoder.

Strided upsampling leaves patterns that repeat every stride: checkerboards. With R the residual
(output minus its mean) of n x n pixels and F its discrete Fourier transform, a pattern of period s
has its energy in the bins whose frequencies are multiples of n / s:

    (1)  rms_s^2 = sum over bins (u, v) of period s, and of no shorter one, of |F(u, v)|^2 / n^4

in gray levels. White noise of the same strength would have only a share (s / n)^2 of its energy in
these bins.
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
MAX_STRIDE = STRIDES[-1]
COLORS = (
    (0, 0, 0),
    (64, 64, 64),
    (128, 128, 128),
    (192, 192, 192),
    (255, 255, 255),
    (200, 60, 50),
    (60, 160, 70),
    (50, 80, 190),
)
MID_GRAY = 2
"""Index of mid-gray in `COLORS`."""

GAIN = 16.0
VISIBLE = 0.5
"""RMS in gray levels from which a regular pattern is visible on a flat surface."""


class FlatField(Diagnostic):
    """Regular patterns on constant colors."""

    name = "flat_field"

    def run(self, reconstructor: Reconstructor, inputs: DiagnosticInputs) -> Finding:
        """Measure the patterns of every stride, away from the borders."""
        size = inputs.size
        n = size * 3 // 4 // MAX_STRIDE * MAX_STRIDE
        if n < 2 * MAX_STRIDE:
            raise NotExaminedError(f"needs images of at least 86 pixels, got {size}")
        colors = torch.tensor(COLORS, dtype=torch.uint8)
        fields = colors[:, :, None, None, None].expand(-1, -1, 1, size, size).contiguous()
        outputs = levels(round_trip(reconstructor, fields))[:, :, 0]
        edge = (size - n) // 2
        inner = outputs[..., edge : edge + n, edge : edge + n]
        residual = inner - inner.mean(dim=(2, 3), keepdim=True)
        patterns = stride_patterns(residual)
        bias = (inner.mean(dim=(2, 3)) - colors).abs().mean().item()
        strongest = max(patterns, key=lambda stride: patterns[stride])
        numbers = {f"stride_{s}_levels": value for s, value in patterns.items()}
        summary = (
            f"a pattern repeats every {strongest} pixels with {patterns[strongest]:.2f} gray levels"
            if patterns[strongest] >= VISIBLE
            else f"no visible pattern (strongest: {patterns[strongest]:.3f} gray levels)"
        )
        return Finding(
            self.name,
            reconstructor.name,
            # A key of report.json, which keeps its spelling.
            {**numbers, "colour_error_levels": bias},
            summary,
            image=side_by_side(
                [amplified(residual[MID_GRAY], GAIN), _spectrum(residual[MID_GRAY])]
            ),
        )


def stride_patterns(residual: Float[Tensor, "B 3 n n"]) -> dict[int, float]:
    """Compute the RMS of the patterns of every stride, in the residual's unit."""
    n = residual.shape[-1]
    power = torch.fft.fft2(residual.double()).abs().square().mean(dim=(0, 1)) / n**4
    patterns, shorter = {}, torch.zeros(n, n, dtype=torch.bool)
    shorter[0, 0] = True
    for stride in STRIDES:
        bins = _bins(n, stride)
        # (1)
        patterns[stride] = power[bins & ~shorter].sum().sqrt().item()
        shorter |= bins
    return patterns


def _bins(n: int, stride: int) -> Bool[Tensor, "n n"]:
    """Return a mask of the frequencies of patterns that repeat every `stride` pixels."""
    multiples = torch.arange(n) % (n // stride) == 0
    return multiples[:, None] & multiples[None, :]


def _spectrum(residual: Float[Tensor, "3 n n"]) -> Tensor:
    """Draw amplitudes from 0.001 to 1 gray level logarithmically, frequency 0 in the middle."""
    n = residual.shape[-1]
    amplitude = torch.fft.fft2(residual.double()).abs().mean(dim=0) / n**2
    decades = (torch.fft.fftshift(amplitude).clamp(min=1e-3).log10() / 3 + 1).clamp(max=1)
    return (255 * decades).round().byte().expand(3, -1, -1).contiguous()
