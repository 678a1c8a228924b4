"""Hostile and unusual files: each is decoded right or refused with a reason, in bounds.

One subprocess reads them all, as a listing would, and reports per file what came out, how long it
took and how far its peak memory rose; so a crash or a hang of a decoder fails here and not in a
training run.
"""

import json
import sys
from pathlib import Path

import pytest

from commands import run_process

pytestmark = pytest.mark.slow

SECONDS, GIBIBYTE = 10, 2**30

# What reading a file gives: an image's (width, height); for a video (width, height, frames) that
# can be read, after which it may end with a reason; or the reason of a refusal.
OK_IMAGES = {
    "12bit.cropped.tif": (100, 100),
    "16-bit-grey-alpha.png": (109, 96),
    "16_bit_noise.tif": (32, 32),
    "2x2_fdcce6.png": (2, 2),
    "5_webp_a.webp": (300, 300),
    "Channel_digital_image_CMYK_color_no_profile.jpg": (500, 333),
    "Crash_test.gif": (800, 533),
    "Flag_of_the_Netherlands-16bit.png": (900, 600),
    "Landscape_1.jpg": (600, 450),
    "Portrait_7.jpg": (450, 600),
    "animated-loop-3.gif": (370, 285),
    "bggn4a16.png": (32, 32),
    "bitflips_mid.jpg": (480, 360),
    "duplicate_frame.gif": (10, 10),
    "gamma_dalai_lama_gray.jpg": (258, 222),
    "gif_named.mp4": (320, 240),
    "grey-8bit-alpha.png": (400, 300),
    "grey-plus-alpha.gif": (2, 1),
    "hopper.Lab.tif": (128, 128),
    "hopper_mask.png": (16, 16),
    "hopper_orientation_3.jpg": (128, 128),
    "hopper_orientation_5.jpg": (128, 128),
    "hopper_orientation_6.jpg": (128, 128),
    "hopper_orientation_6.webp": (128, 128),
    "icc_profile_big.jpg": (425, 250),
    "invalid-exif.jpg": (200, 200),
    "l_trns.png": (64, 64),
    "multiple_exif.jpg": (1, 1),
    "padded_idat.png": (256, 10),
    "palette_negative.png": (128, 128),
    "pil123rgba.png": (162, 150),
    "pil_sample_cmyk.jpg": (100, 100),
    "prophoto.png": (1, 1),
    "rgb32bf-rgba.bmp": (127, 64),
    "rotating-squares.gif": (80, 80),
    "rotating-squares.webp": (80, 80),
    "sugarshack_bad_mpo_header.jpg": (640, 480),
    "swiss.png": (68, 68),
    "tbgn2c16.png": (32, 32),
    "unicode_extended.png": (100, 60),
    "xmp_tags_orientation.png": (326, 268),
    "кошка 猫.png": (451, 300),
}
OK_VIDEOS = {
    "av1_video.mkv": (640, 360, 125),
    "big_buck_bunny_432_433.webm": (1280, 720, 24),
    "brother.mkv": (640, 480, 65),
    "cockatoo.mp4": (1280, 720, 280),
    "demo.mp4": (1920, 1080, 8),
    "example_mask.mp4": (200, 200, 300),
    "h264_10bits.mp4": (200, 200, 30),
    "ios9.mov": (720, 1280, 14),
    "milk.mkv": (640, 480, 51),
    "mkv_named.mp4": (640, 480, 51),
    "mp4_named.jpg": (128, 128, 10),
    "odd_201x117_h264_444.mp4": (201, 117, 48),
    "odd_mjpeg_319x179.avi": (319, 179, 24),
    "prores_422_10.mov": (320, 180, 5),
    "transparent.webm": (200, 200, 150),
    "truncated_half.webm": (480, 360, 36),
    "vfr_irregular.mp4": (320, 180, 48),
    "video_270.mov": (320, 568, 3),
}
DAMAGED_VIDEOS = {
    "bitflips_mid.mkv": ((640, 480, 12), "the decoder found damage in a frame"),
    "truncated_90pct.mp4": ((480, 360, 79), "the file is damaged or ends early"),
}
ANIMATIONS = {
    "animated-loop-3.gif": 10,
    "duplicate_frame.gif": 3,
    "gif_named.mp4": 31,
    "rotating-squares.gif": 30,
    "rotating-squares.webp": 9,
}
REFUSED = {
    "audio_only.mp4": "no video stream",
    "broken_data_stream.png": "the checksum of a chunk IDAT is wrong",
    "corrupt-header.jpg": "Truncated File Read",
    "empty.mp4": "empty file",
    "empty.png": "empty file",
    "lfs_pointer.mp4": "git-lfs pointer",
    "libtiff_segfault.tif": "header is damaged",
    "negative_size.ppm": "header is damaged",
    "text_named.mp4": "not an image or video, by its first bytes",
    "timeout-6646305047838720": "truncated",
    "truncated.jpg": "truncated",
    "truncated.png": "truncated",
    "truncated_image.png": "truncated",
    "ultrahdr.jpg": "truncated",
    "unknown_compression_method.png": "header is damaged",
    "zero_height.j2k": "header is damaged",
    "zero_width.gif": "header is damaged",
}
ALL = {*OK_IMAGES, *OK_VIDEOS, *DAMAGED_VIDEOS, *REFUSED}

SUPPORT = Path(__file__).parents[2] / "support"
READER = f"""
import json, sys, time
sys.path.insert(0, {str(SUPPORT)!r})
from peak_memory import peak_bytes
from video_frames import count_frames
from vistok.data.codecs.image import read_image
from vistok.data.sources.media import READ_ERRORS
from vistok.data.sources.source import list_source
from vistok.data.codecs.video import read_frames

def read(file):
    entry = {{"kind": file.kind, "animated": file.animated, "size": None, "frames": 0}}
    try:
        if file.kind == "image":
            entry["size"] = read_image(file.location).size
        if file.serves("video"):
            entry["counted"] = count_frames(file.location)
            for frame in read_frames(file.location):
                entry["frames"] += 1
                entry["size"] = [frame.shape[2], frame.shape[1]]
    except READ_ERRORS as error:
        entry["reason"], entry["exception"] = str(error), type(error).__name__
    return entry

listing = list_source(sys.argv[1])
for bad in listing.skipped:
    print(json.dumps({{"path": bad.path, "reason": bad.reason, "seconds": 0, "bytes": 0}}))
for file in listing.files:
    start, before = time.monotonic(), peak_bytes()
    entry = read(file)
    entry |= {{"seconds": time.monotonic() - start, "bytes": peak_bytes() - before}}
    entry["path"] = file.path
    print(json.dumps(entry), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(data_folder) -> dict[str, dict]:
    """What a process of its own reports of every file."""
    command = [sys.executable, "-c", READER, str(data_folder / "nasty")]
    done = run_process(command, timeout=SECONDS * len(ALL))
    assert done.returncode == 0, done.stderr
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    return {Path(entry["path"]).name: entry for entry in entries}


@pytest.fixture
def outcome(outcomes, name) -> dict:
    if name not in outcomes:
        pytest.skip(f"{name} is not among the files here")
    return outcomes[name]


@pytest.mark.parametrize("name", OK_IMAGES)
def test_an_image_is_read_upright(name, outcome):
    assert "reason" not in outcome
    assert tuple(outcome["size"]) == OK_IMAGES[name]
    assert outcome["animated"] == (name in ANIMATIONS)
    assert outcome["frames"] == ANIMATIONS.get(name, 0)


@pytest.mark.parametrize("name", OK_VIDEOS)
def test_a_video_is_read_to_its_end(name, outcome):
    assert "reason" not in outcome
    assert (*outcome["size"], outcome["frames"]) == OK_VIDEOS[name]
    assert outcome["counted"] == outcome["frames"]


@pytest.mark.parametrize("name", DAMAGED_VIDEOS)
def test_a_damaged_video_is_read_up_to_the_damage(name, outcome):
    expected, reason = DAMAGED_VIDEOS[name]
    assert (*outcome["size"], outcome["frames"]) == expected
    assert reason in outcome["reason"]
    assert name in outcome["reason"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_is_refused_with_its_reason(name, outcome):
    assert REFUSED[name] in outcome["reason"]
    assert outcome.get("frames", 0) == 0


def test_every_file_ends_within_its_bounds(outcomes):
    assert outcomes
    late = {n: e["seconds"] for n, e in outcomes.items() if e["seconds"] > SECONDS}
    large = {n: e["bytes"] for n, e in outcomes.items() if e["bytes"] > GIBIBYTE}
    assert (late, large) == ({}, {})
