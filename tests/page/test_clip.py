"""What is dropped on the page: opened by its content, within limits, and what changed is told."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from vistok.data.codecs.video import read_clip
from vistok.data.sources.bundled import SAMPLES
from vistok.page.clip import Limits, open_clip

PHOTO = SAMPLES / "images" / "kodim15.jpg"
CLIP = SAMPLES / "videos" / "asl_bird_0.mp4"


def test_an_image_within_the_limits_is_left_as_it_is():
    clip = open_clip(PHOTO, Limits())
    assert clip.pixels.shape == (3, 1, 256, 384)
    assert clip.file_bytes == PHOTO.stat().st_size
    assert clip.name == "kodim15.jpg"
    assert clip.notes == ()


def test_a_large_image_is_downscaled_and_a_note_gives_both_sizes():
    clip = open_clip(PHOTO, Limits(side=100))
    assert clip.pixels.shape == (3, 1, 67, 100)
    (note,) = clip.notes
    assert "from 384 × 256 to 100 × 67 pixels" in note
    assert "--max-side (now 100)" in note


def test_a_long_clip_is_cut_to_its_first_frames_with_a_note():
    clip = open_clip(CLIP, Limits(frames=5))
    assert torch.equal(clip.pixels, read_clip(CLIP, 5))
    (note,) = clip.notes
    assert "first 5 frames" in note


def test_a_clip_as_long_as_the_limit_has_no_note():
    assert open_clip(CLIP, Limits(frames=49)).notes == ()


def test_a_large_clip_is_downscaled_frame_by_frame():
    clip = open_clip(CLIP, Limits(side=96, frames=2))
    assert clip.pixels.shape == (3, 2, 72, 96)
    assert len(clip.notes) == 2


def test_an_animation_is_a_clip(tmp_path: Path):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "green", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], loop=0)
    assert open_clip(tmp_path / "a.gif", Limits()).pixels.shape == (3, 3, 16, 16)


@pytest.mark.parametrize(
    ("name", "content"), [("list.txt", b"/etc/passwd\n"), ("empty.png", b""), ("list.csv", b"a,b")]
)
def test_other_files_are_refused_by_their_content(tmp_path: Path, name: str, content: bytes):
    # A list of paths in particular: it would name any file of this machine.
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{name}: .*; drop an image or a video"):
        open_clip(tmp_path / name, Limits())


def test_a_damaged_image_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "half.jpg").write_bytes(PHOTO.read_bytes()[:2000])
    with pytest.raises(OSError, match=r"half\.jpg"):
        open_clip(tmp_path / "half.jpg", Limits())
