"""Chunk jumps: a step every few frames is found with its period and phase; noise is not."""

import pytest
import torch

from planted import Planted, moving, photos
from vistok.eval.diagnostics.chunk_jumps import ChunkJumps, strongest_period
from vistok.eval.diagnostics.diagnostic import DiagnosticInputs, NotExaminedError


def brighter_chunks(x):
    """Frames 1 ... 4 are darker, 5 ... 8 brighter, and so on, as after a first frame on its own."""
    chunk = (torch.arange(x.shape[2]) + 3) // 4
    return x * 0.9 + 10 + 8.0 * (chunk % 2).float().view(1, 1, -1, 1, 1)


def noisy(x):
    return x * 0.9 + 12 + 4 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def test_planted_jumps_are_found_with_period_and_phase():
    inputs = DiagnosticInputs(photos(48), moving(48, 17))
    finding = ChunkJumps().run(Planted(brighter_chunks), inputs)
    assert finding.numbers["ratio"] > max(1.5, finding.numbers["chance_ratio"])
    assert finding.numbers["period_frames"] == 4
    assert "after frame 0 and every 4 frames" in finding.summary


@pytest.mark.parametrize("artifact", [lambda x: x, noisy])
def test_the_images_and_plain_noise_have_no_jumps(artifact):
    finding = ChunkJumps().run(Planted(artifact), DiagnosticInputs(photos(48), moving(48, 17)))
    assert finding.summary.startswith("no regular jumps")


def test_the_strongest_period_is_that_of_the_peaks():
    error = torch.ones(24)
    error[2::5] = 3.0
    assert strongest_period(error) == (3.0, 5, 2)


def test_images_have_no_chunks():
    for clips in (None, moving(32, 5)):
        with pytest.raises(NotExaminedError, match="clips of at least 9 frames"):
            ChunkJumps().run(Planted(), DiagnosticInputs(photos(32), clips))
