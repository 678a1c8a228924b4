"""Pixels to files: what decode returns is written as it is seen."""

import pytest
import torch

from video_frames import count_frames
from vistok import load_image, load_video, save_image, save_video
from vistok.data.codecs.video import probe_video


def gradient(*size: int) -> torch.Tensor:
    """Smooth pixels, which video codecs keep."""
    ramp = torch.linspace(-1, 1, size[-1]).expand(*size)
    return ((ramp + 1) * 127.5).round() / 127.5 - 1


def test_an_image_comes_back_to_the_bit(tmp_path):
    pixels = gradient(1, 3, 1, 16, 24)
    path = save_image(pixels, tmp_path / "new" / "image.png")
    assert path == tmp_path / "new" / "image.png"
    assert torch.equal(load_image(path), pixels)
    for same in (pixels[0, :, 0], pixels[:, :, 0], ((pixels + 1) * 127.5).round().byte()):
        assert torch.equal(load_image(save_image(same, tmp_path / "same.png")), pixels)


def test_an_image_is_written_in_the_format_of_its_suffix(tmp_path):
    pixels = gradient(1, 3, 1, 16, 16)
    for suffix, start in ((".jpg", b"\xff\xd8"), (".webp", b"RIFF"), (".PNG", b"\x89PNG")):
        path = save_image(pixels, str(tmp_path / f"image{suffix}"))
        assert path.read_bytes().startswith(start)
        assert (load_image(path) - pixels).abs().mean() < 0.1


def test_overshoot_is_clamped(tmp_path):
    path = save_image(gradient(1, 3, 1, 8, 8) * 3, tmp_path / "image.png")
    assert load_image(path).abs().max() == 1


def test_a_clip_is_written_with_its_rate(tmp_path):
    pixels = gradient(1, 3, 5, 32, 32)
    path = save_video(pixels, tmp_path / "clip.mp4", fps=12.5)
    assert count_frames(path) == 5
    assert probe_video(path).fps == 12.5
    assert (load_video(path) - pixels).abs().mean() < 0.05
    assert count_frames(save_video(pixels[0], tmp_path / "same.mp4")) == 5


@pytest.mark.parametrize(
    ("save", "pixels", "name", "message"),
    [
        (save_image, torch.zeros(3, 8, 8), "image.gif", "must end in .png, .jpg or .webp"),
        (save_video, torch.zeros(3, 2, 8, 8), "clip.png", "must end in .mp4"),
        (save_image, torch.zeros(2, 3, 1, 8, 8), "a.png", "batch of 2; pass pixels"),
        (save_video, torch.zeros(2, 3, 1, 8, 8), "a.mp4", "batch of 2; pass pixels"),
        (save_image, torch.zeros(1, 3, 2, 8, 8), "a.png", "takes one frame, got 2; use save_video"),
        (save_image, torch.zeros(8, 8, 3), "a.png", r"got shape \(8, 8, 3\)"),
        (save_video, torch.zeros(3, 8, 8), "a.mp4", r"must be \(1, 3, T, H, W\)"),
        (save_video, torch.zeros(3, 0, 8, 8), "a.mp4", r"must be \(1, 3, T, H, W\)"),
        (save_image, torch.full((3, 8, 8), 128.0), "a.png", "for values in 0..255 pass uint8"),
        (save_image, torch.full((3, 8, 8), torch.nan), "a.png", "must be finite"),
        (save_image, torch.zeros(3, 8, 8, dtype=torch.int32), "a.png", "uint8 in 0..255 or float"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_nothing_written(save, pixels, name, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save(pixels, tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_an_impossible_rate_is_refused(tmp_path):
    with pytest.raises(ValueError, match="fps must be finite and above 0"):
        save_video(torch.zeros(3, 2, 8, 8), tmp_path / "clip.mp4", fps=float("nan"))
    assert not any(tmp_path.iterdir())
