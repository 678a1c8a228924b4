"""Video codecs: every frame comes back in its place, near what it was, at its rate."""

import pytest
import torch

from vistok.eval.metrics.psnr import psnr_from_mse, squared_errors
from vistok.eval.reconstructors.video_codec import VIDEO_FORMATS, VideoCodec


def moving_clip(frames: int, height: int = 64, width: int = 64) -> torch.Tensor:
    """A smooth image that moves and brightens, so that a frame out of place is noticed."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 8, 8, generator=generator)
    size = (height, width)
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1)
    steps = [smooth.roll(2 * t, dims=3) * 150 + 6 * t for t in range(frames)]
    return torch.stack(steps, dim=2).to(torch.uint8)


def decibels(clip: torch.Tensor, other: torch.Tensor) -> list[float]:
    return [psnr_from_mse(error) for error in squared_errors(clip, other)[0].tolist()]


# Shorter than the encoders' reordering, where libx265 leaves time stamps undefined, and longer.
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("kind", VIDEO_FORMATS)
def test_every_frame_comes_back_in_its_place(kind, frames):
    clip = moving_clip(frames)
    result = VideoCodec(kind, 12).reconstruct(clip, ["a"])
    assert result.clips.shape == clip.shape
    assert min(decibels(clip, result.clips)) > 33
    if frames > 1:
        shifted = result.clips.roll(1, dims=2)
        assert max(decibels(clip, shifted)) < 33


@pytest.mark.parametrize("kind", VIDEO_FORMATS)
def test_more_quality_takes_more_bits_and_the_container_takes_some_beside(kind):
    clip = moving_clip(4)
    good, poor = (VideoCodec(kind, crf).reconstruct(clip, ["a"]) for crf in (10, 45))
    assert good.bits_per_pixel is not None
    assert poor.bits_per_pixel is not None
    assert good.bits_per_pixel[0] > 1.5 * poor.bits_per_pixel[0] > 0
    assert sum(decibels(clip, good.clips)) > sum(decibels(clip, poor.clips)) + 8
    assert good.stored_bits_per_pixel is not None
    assert poor.stored_bits_per_pixel is not None
    assert good.stored_bits_per_pixel[0] > good.bits_per_pixel[0]
    assert poor.stored_bits_per_pixel[0] > poor.bits_per_pixel[0]


@pytest.mark.parametrize("kind", VIDEO_FORMATS)
def test_odd_sizes_keep_their_size(kind):
    clip = moving_clip(2, height=67, width=71)
    result = VideoCodec(kind, 12).reconstruct(clip, ["a"])
    assert result.clips.shape == clip.shape
    assert min(decibels(clip, result.clips)) > 30


def test_gray_levels_survive_the_way_through_limited_range():
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, 16, 16).expand(1, 3, 1, 16, 16)
    flat = ramp.repeat_interleave(8, dim=3).repeat_interleave(8, dim=4).contiguous()
    result = VideoCodec("h264", 0).reconstruct(flat, ["a"])
    # 219 levels stand for 256: one level of rounding, one of the codec's own
    assert (result.clips.int() - flat.int()).abs().max() <= 2


@pytest.mark.parametrize(("kind", "crf"), [("h264", 52), ("hevc", 52), ("av1", 64), ("av1", 0)])
def test_a_factor_that_the_encoder_would_not_follow_is_refused(kind, crf):
    with pytest.raises(ValueError, match=rf"{kind} crf must be in \d \.\.\. \d\d, got {crf}"):
        VideoCodec(kind, crf)
