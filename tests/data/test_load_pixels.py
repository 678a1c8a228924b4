"""Pixels from whatever holds an image or a clip, as `encode` takes them."""

import logging
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from PIL import Image

from vistok import load_image, load_video
from vistok.data.codecs.image import read_image, to_tensor
from vistok.data.codecs.video import read_clip
from vistok.data.pixels import to_pixels
from vistok.data.resize import adm_center_crop
from vistok.data.sources.bundled import SAMPLES

PHOTO = SAMPLES / "images" / "kodim15.jpg"
CLIP = SAMPLES / "videos" / "asl_bird_0.mp4"


@pytest.fixture(scope="module")
def expected() -> torch.Tensor:
    return to_pixels(to_tensor(read_image(PHOTO)))[None, :, None]


def test_a_photo_is_a_batch_of_one_clip_of_one_frame(expected):
    pixels = load_image(PHOTO)
    assert pixels.shape == (1, 3, 1, 256, 384)
    assert pixels.dtype == torch.float32
    assert -1 <= pixels.min() < pixels.max() <= 1
    assert torch.equal(pixels, expected)


def test_a_photo_is_the_same_whatever_holds_it(expected):
    image = read_image(PHOTO)
    array = np.array(image)
    tensor = to_tensor(image)
    same = (str(PHOTO), "samples:kodim15", image, Image.open(PHOTO), array, tensor, tensor[None])
    for given in (*same, expected, expected[0, :, 0], expected[:, :, 0]):
        assert torch.equal(load_image(given), expected), type(given)
    floats = expected[0, :, 0].permute(1, 2, 0).double().numpy()
    assert torch.equal(load_image(floats), expected)


def test_gray_and_transparent_arrays_become_color():
    gray = np.full((4, 6), 255, np.uint8)
    assert torch.equal(load_image(gray), torch.ones(1, 3, 1, 4, 6))
    assert torch.equal(load_image(gray[:, :, None]), torch.ones(1, 3, 1, 4, 6))
    transparent = np.zeros((4, 6, 4), np.uint8)
    assert torch.equal(load_image(transparent), torch.ones(1, 3, 1, 4, 6)), "over white"
    assert load_image(np.zeros((4, 6)) - 1.0).shape == (1, 3, 1, 4, 6)


def test_a_pillow_image_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(Image.open(tmp_path / "turned.jpg")).shape[3:] == (8, 4)
    assert load_image(tmp_path / "turned.jpg").shape[3:] == (8, 4)


def test_the_crop_is_that_of_evaluations(expected):
    crop = to_pixels(to_tensor(adm_center_crop(read_image(PHOTO), 64)))[None, :, None]
    assert torch.equal(load_image(PHOTO, size=64), crop)
    assert torch.equal(load_image(expected, size=64), crop)


def test_files_are_loaded_from_urls(expected, tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    handler = partial(Quiet, directory=str(SAMPLES))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        assert torch.equal(load_image(f"{root}/images/{PHOTO.name}"), expected)
        assert load_video(f"{root}/videos/{CLIP.name}", frames=3).shape[2] == 3
        server.shutdown()


def test_a_clip_is_a_batch_of_one():
    clip = to_pixels(read_clip(CLIP, 49))[None]
    loaded = load_video(CLIP)
    assert torch.equal(loaded, clip)
    assert torch.equal(load_video(CLIP, frames=5, start=2, stride=3), clip[:, :, 2:15:3])
    assert torch.equal(load_video(CLIP, start=40), clip[:, :, 40:])
    assert torch.equal(load_video(CLIP, stride=10), clip[:, :, ::10])
    assert load_video("samples:asl_bird_0", frames=2, size=32).shape == (1, 3, 2, 32, 32)
    assert 1 < load_video(CLIP, fps=5).shape[2] < 49


def test_a_clip_is_the_same_whatever_holds_it():
    stored = read_clip(CLIP, 4)
    expected = to_pixels(stored)[None]
    array = stored.permute(1, 2, 3, 0).numpy()
    images = [Image.fromarray(frame) for frame in array]
    for given in (
        array,
        images,
        list(array),
        stored,
        stored[None],
        expected,
        list(stored.unbind(1)),
    ):
        assert torch.equal(load_video(given), expected)
    mixed = [images[0], expected[0, :, 1]]
    assert torch.equal(load_video(mixed), expected[:, :, :2])
    assert torch.equal(load_video(array, start=1, stride=2), expected[:, :, 1::2])
    assert torch.equal(load_video(array, frames=2), expected[:, :, :2])


@pytest.mark.parametrize(
    ("load", "given", "error", "message"),
    [
        (load_image, CLIP, ValueError, "is a video; use load_video"),
        (load_video, PHOTO, ValueError, "is an image; use load_image"),
        (load_image, "nothing.png", FileNotFoundError, "nothing.png"),
        (load_video, "nothing.mp4", FileNotFoundError, "nothing.mp4"),
        (load_image, "samples:kodim99", FileNotFoundError, "must be one of .*samples:kodim15"),
        (load_image, np.zeros((3, 8, 8), np.uint8), ValueError, "channels come last in arrays"),
        (load_image, torch.zeros(8, 8, 3), ValueError, "channels come first in tensors"),
        (load_image, torch.zeros(2, 3, 8, 8), ValueError, r"must be \(3, H, W\)"),
        (load_image, torch.full((3, 8, 8), 255.0), ValueError, r"must be in \[-1, 1\], got 255"),
        (load_image, torch.zeros(3, 8, 8, dtype=torch.int64), ValueError, "uint8 in 0..255 or flo"),
        (load_image, torch.full((3, 8, 8), torch.nan), ValueError, "must be finite"),
        (load_video, torch.zeros(8, 3, 4, 4), ValueError, r"pass clip.transpose\(0, 1\)"),
        (load_video, np.zeros((3, 8, 8, 8), np.uint8), ValueError, r"must be \(T, H, W, 3\)"),
        (load_video, [], ValueError, "the video has 0"),
        (partial(load_video, frames=5), [torch.zeros(3, 4, 4)], ValueError, "the video has 1"),
        (partial(load_video, frames=50), CLIP, ValueError, "the video is shorter"),
        (partial(load_video, start=50), CLIP, ValueError, "the video is shorter"),
        (partial(load_video, frames=0), CLIP, ValueError, "frames must be at least 1, got 0"),
        (partial(load_video, fps=0), CLIP, ValueError, "fps must be finite and above 0"),
        (partial(load_video, fps=5), torch.zeros(3, 4, 4, 4), ValueError, "fps has no effect on"),
        (partial(load_image, size=0), PHOTO, ValueError, "size must be at least 1"),
        (
            load_video,
            [torch.zeros(3, 4, 4), torch.zeros(3, 4, 8)],
            ValueError,
            "the frames of a video must have one size",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_is_refused_with_what_to_do(load, given, error, message):
    with pytest.raises(error, match=message):
        load(given)


def test_floats_that_look_like_another_range_are_warned_about(caplog):
    with caplog.at_level(logging.WARNING):
        load_image(torch.rand(3, 8, 8))
    assert "if they are in [0, 1], pass 2 * image - 1" in caplog.text
    caplog.clear()
    load_image(torch.rand(3, 8, 8) * 2 - 1)
    assert not caplog.text


def test_a_home_folder_is_understood(tmp_path, monkeypatch, expected):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photo.jpg").write_bytes(PHOTO.read_bytes())
    assert torch.equal(load_image("~/photo.jpg"), expected)
    assert torch.equal(load_image(Path("~/photo.jpg")), expected)
