"""Video: frames in order, clips by start and stride, written and read back."""

import gc
from fractions import Fraction

import av
import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from video_frames import count_frames
from vistok.data.codecs import video, video_stream
from vistok.data.codecs.frame import FrameConverter
from vistok.data.codecs.image import read_image
from vistok.data.codecs.video import probe_video, read_clip, read_frames
from vistok.data.codecs.video_stream import VideoStream
from vistok.data.codecs.write import write_video
from vistok.data.sources.bundled import SAMPLES
from vistok.data.sources.source import list_source

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


# ---- colours -------------------------------------------------------------------------------------

MATRICES = {"bt601": (0.299, 0.114, 5), "bt709": (0.2126, 0.0722, 1), "bt2020": (0.2627, 0.0593, 9)}
COLOURS = [(200, 30, 60), (20, 180, 40), (30, 60, 220), (128, 128, 128), (255, 255, 255), (0, 0, 0)]


def yuv(rgb, matrix: str, full: bool, bits: int) -> list[int]:
    """The samples of a colour, by the definition of its matrix."""
    kr, kb, _ = MATRICES[matrix]
    r, g, b = (value / 255 for value in rgb)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    luma, chroma, black = (255, 255, 0) if full else (219, 224, 16)
    scale = 2 ** (bits - 8)
    samples = (black + luma * y, 128 + chroma * cb, 128 + chroma * cr)
    return [min(round(sample * scale), 2**bits - 1) for sample in samples]


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("form", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("size", [(64, 48), (63, 47)], ids=["even", "odd"])
def test_colours_follow_matrix_and_range(matrix, full, form, size: tuple[int, int]):
    bits = 10 if form.endswith("10le") else 8
    for rgb in COLOURS:
        frame = av.VideoFrame(*size, form)
        for plane, sample in zip(frame.planes, yuv(rgb, matrix, full, bits), strict=True):
            width = sample.to_bytes(2, "little") if bits > 8 else bytes([sample])
            plane.update(width * (plane.buffer_size // len(width)))
        frame.colorspace, frame.color_range = MATRICES[matrix][2], 2 if full else 1
        picture = FrameConverter()(frame)
        error = (picture[:, 20, 20].int() - torch.tensor(rgb)).abs().max()
        # one rounding to integer samples and one back: up to 3 levels in the blue of BT.709
        assert error <= 3, (rgb, picture[:, 20, 20])


@pytest.mark.parametrize(("size", "matrix"), [((640, 480), "bt601"), ((1280, 720), "bt709")])
def test_streams_that_say_nothing_are_taken_by_their_size(size: tuple[int, int], matrix):
    frame = av.VideoFrame(*size, "yuv420p")
    for plane, sample in zip(frame.planes, yuv((30, 60, 220), matrix, False, 8), strict=True):
        plane.update(bytes([sample]) * plane.buffer_size)
    assert (FrameConverter()(frame)[:, 9, 9].int() - torch.tensor([30, 60, 220])).abs().max() <= 3


def test_alpha_lies_over_white_and_limited_grey_is_widened():
    clear = av.VideoFrame.from_ndarray(np.full((8, 8, 4), [255, 0, 0, 0], np.uint8), format="rgba")
    assert FrameConverter()(clear).eq(255).all()
    grey = av.VideoFrame.from_ndarray(np.full((8, 8), 235, np.uint8), format="gray")
    assert FrameConverter()(grey).eq(235).all()
    grey.color_range = 1
    assert FrameConverter()(grey).eq(255).all()


# ---- seeking, rates ------------------------------------------------------------------------------


def write(path, frames=60, size=(48, 32), codec="libx264", fps=30, times=None, **options):
    """A synthetic clip whose grey level tells the frame's number."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = options
        stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames):
            picture = np.full((size[1], size[0], 3), 20 + 3 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = times[number] if times else round(number * 1000 / fps)
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


CODECS = [("a.mp4", "libx264", {"g": "12", "bf": "3"}),
          ("a.mkv", "libx264", {"g": "10", "bf": "2"}),
          ("a.ts", "libx264", {"g": "12"}), ("a.avi", "mpeg4", {"g": "12"}),
          ("a.webm", "libvpx", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "16"}),
          ("a.webm", "libvpx-vp9", {"g": "12"})]  # fmt: skip


@pytest.mark.parametrize(("name", "codec", "options"), CODECS, ids=lambda v: str(v)[:12])
def test_seeking_gives_the_same_frames_as_reading_in_sequence(name, codec, options, tmp_path):
    path = write(tmp_path / name, codec=codec, **options)
    frames = torch.stack(list(read_frames(path)), dim=1)
    assert count_frames(path) == frames.shape[1] == 60
    for start, stride in [(1, 1), (11, 1), (12, 1), (13, 7), (29, 15), (57, 1)]:
        assert torch.equal(read_clip(path, 3, start, stride), frames[:, start::stride][:, :3])


def test_a_clip_from_the_middle_does_not_decode_the_beginning(tmp_path, monkeypatch):
    path = write(tmp_path / "long.mp4", frames=75, g="15", bf="0")
    decoded = []
    original = VideoStream.frames

    def counted(self, since=None):
        for frame in original(self, since):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(VideoStream, "frames", counted)
    read_clip(path, 3, start=62)
    assert len(decoded) <= 7


def test_a_rate_takes_the_frame_nearest_in_time(tmp_path):
    steady = write(tmp_path / "steady.mp4", frames=30)
    frames = torch.stack(list(read_frames(steady)), dim=1)
    assert torch.equal(read_clip(steady, 9, fps=Fraction(10)), frames[:, :27:3])
    assert torch.equal(read_clip(steady, 30, fps=Fraction(30)), frames), "its own rate changes none"
    assert torch.equal(read_clip(steady, 4, fps=Fraction(60))[:, ::2], frames[:, :2])
    times = [0, 100, 110, 120, 400, 500]
    uneven = write(tmp_path / "vfr.mp4", frames=6, times=times, bf="0")
    frames = torch.stack(list(read_frames(uneven)), dim=1)
    nearest = [min(range(6), key=lambda n: abs(times[n] - t)) for t in range(0, 501, 100)]
    assert torch.equal(read_clip(uneven, 6, fps=Fraction(10)), frames[:, nearest])


# ---- bounds --------------------------------------------------------------------------------------


def test_a_frame_that_needs_too_much_decoding_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "one_key.mp4", g="1000")
    monkeypatch.setattr(video, "MAX_DECODED_PIXELS", 40 * 48 * 32)
    assert read_clip(path, 2, start=30).shape[1] == 2
    with pytest.raises(OSError, match="encode the video again with closer keyframes"):
        read_clip(path, 2, start=50)


def test_a_large_frame_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(video_stream, "MAX_FRAME_PIXELS", 100 * 100)
    with pytest.raises(OSError, match="frames of 256 x 144 pixels, more than the maximum of 10000"):
        next(read_frames(CLIP))


def test_a_stream_without_a_container_is_a_video(tmp_path):
    path = write(tmp_path / "raw.h264", frames=20, g="5")
    (file,) = list_source(path).files
    assert (file.kind, count_frames(path)) == ("video", 20)
    assert torch.equal(read_clip(path, 2, 11), torch.stack(list(read_frames(path)), 1)[:, 11:13])


def test_frames_that_change_their_size_are_refused():
    convert = FrameConverter()
    convert(av.VideoFrame(32, 16, "yuv420p"))
    with pytest.raises(ValueError, match=r"the frame size changes from \(32, 16\) to \(16, 16\)"):
        convert(av.VideoFrame(16, 16, "yuv420p"))


def test_a_codec_that_nobody_knows_is_refused(tmp_path):
    path = tmp_path / "unknown.mp4"
    path.write_bytes(CLIP.read_bytes().replace(b"avc1", b"xxxx").replace(b"avcC", b"xxxx"))
    with pytest.raises(OSError, match="no decoder for the codec"):
        probe_video(path)


def test_names_with_a_colon_are_files(tmp_path):
    path = tmp_path / "http:clip%03d.mp4"
    path.write_bytes(CLIP.read_bytes())
    assert count_frames(path) == 49


@pytest.mark.slow
def test_2000_opened_files_leave_no_descriptor_and_no_memory(tmp_path):
    path = write(tmp_path / "tiny.mp4", frames=3, size=(16, 16))
    picture = tmp_path / "tiny.png"
    Image.new("RGB", (16, 16)).save(picture)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(path.read_bytes()[:300])
    process = psutil.Process()

    def read_all(times):
        for _ in range(times):
            next(read_frames(path))  # a generator that is dropped half way
            read_clip(path, 1, start=1)
            read_image(picture)
            with pytest.raises(OSError, match="broken"):
                next(read_frames(broken))

    read_all(50)
    gc.collect()
    descriptors, memory = process.num_fds(), process.memory_info().rss
    read_all(500)
    gc.collect()
    assert process.num_fds() == descriptors
    # 2000 leaked containers would hold far more than the allocator's noise
    assert process.memory_info().rss - memory < 40 * 2**20
