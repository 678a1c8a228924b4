"""Frame rates become simple fractions, and none becomes zero."""

from fractions import Fraction

import pytest
import torch

from vistok.data.codecs.frame_rate import frame_rate
from vistok.data.codecs.video import probe_video
from vistok.data.codecs.write import write_video
from vistok.data.evaluation_set import EvaluationSet
from vistok.data.sources.source import list_source
from vistok.data.training.crop import CropRules

RATES = [
    Fraction(30000, 1001),
    Fraction(24000, 1001),
    Fraction(25),
    Fraction(1000),
    Fraction(1, 2),
    Fraction(3, 10),
    Fraction(1, 600),
    Fraction(1, 3000),
    Fraction(1, 10**6),
]


@pytest.mark.parametrize("rate", RATES)
def test_a_rate_is_found_again_from_its_float(rate):
    assert frame_rate(float(rate)) == rate
    assert CropRules(size=32, frames=2, fps=float(rate)).rate == rate
    clips = list_source("samples:videos").files
    assert EvaluationSet(clips, 32, frames=2, fps=float(rate)).fps == rate


@pytest.mark.parametrize("fps", [0.0, -1.0, float("inf"), float("nan")])
def test_an_impossible_rate_is_refused(fps):
    with pytest.raises(ValueError, match="fps must be finite and above 0"):
        frame_rate(fps)


@pytest.mark.parametrize("fps", [Fraction(1, 600), Fraction(1, 3000), Fraction(1, 10_000)])
def test_a_very_slow_video_keeps_its_rate(fps, tmp_path):
    frames = [torch.full((3, 16, 16), level, dtype=torch.uint8) for level in (50, 100, 150)]
    write_video(tmp_path / "slow.mp4", frames, fps)
    assert probe_video(tmp_path / "slow.mp4").fps == fps
