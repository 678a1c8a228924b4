"""Video: frames in order, clips by start and stride, written and read back."""

from fractions import Fraction

import pytest
import torch

from vistok.data.bundled import SAMPLES
from vistok.data.video import count_frames, probe_video, read_clip, read_frames
from vistok.data.write import write_video

CLIP = SAMPLES / "videos" / "iss_astronaut_0.mp4"


def test_the_header_and_the_frames_agree():
    info = probe_video(CLIP)
    assert (info.width, info.height, info.fps, info.num_frames) == (256, 144, Fraction(25), 49)
    assert count_frames(CLIP) == sum(1 for _ in read_frames(CLIP)) == 49


def test_a_clip_is_every_stride_th_frame_from_its_start():
    frames = torch.stack(list(read_frames(CLIP)), dim=1)
    assert torch.equal(read_clip(CLIP, 4, start=3, stride=5), frames[:, 3:19:5])


def test_a_video_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match=r"need 51 frames, the video is shorter"):
        read_clip(CLIP, 51)


def test_what_is_no_video_is_an_os_error(tmp_path):
    (tmp_path / "no.mp4").write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(50))
    with pytest.raises(OSError, match=r"."):
        list(read_frames(tmp_path / "no.mp4"))


@pytest.mark.parametrize("size", [(16, 24), (15, 23)])
def test_written_frames_come_back_nearly_the_same(tmp_path, size):
    grey = torch.linspace(60, 200, 5).to(torch.uint8)
    frames = [torch.full((3, *size), int(level), dtype=torch.uint8) for level in grey]
    path = tmp_path / "out" / "clip.mp4"
    assert write_video(path, frames, Fraction(30)) == 5
    back = read_clip(path, 5)
    assert back.shape[2:] == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    # H.264 at crf 12 in limited-range YUV: a few grey levels
    assert (back[:, :, : size[0], : size[1]].float().mean(dim=(0, 2, 3)) - grey).abs().max() < 4
