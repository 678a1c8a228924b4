"""Inspection counts and measures every file once, and shows the bad ones."""

import shutil

import pytest
from PIL import Image

from vistok.data.inspection.contact_sheet import write_contact_sheet
from vistok.data.inspection.inspection import Span, inspect_source
from vistok.data.sources.bundled import SAMPLES


@pytest.fixture
def folder(tmp_path):
    shutil.copy(SAMPLES / "images" / "kodim01.jpg", tmp_path / "a.jpg")
    clip = SAMPLES / "videos" / "iss_astronaut_0.mp4"
    shutil.copy(clip, tmp_path / "b.mp4")
    (tmp_path / "half.mp4").write_bytes(clip.read_bytes()[:30_000])
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    (tmp_path / "notes.md").write_text("hello")
    return tmp_path


@pytest.mark.parametrize("workers", [0, 1])
def test_every_file_is_counted_or_listed(folder, workers):
    found, reports = inspect_source(folder, workers=workers)
    assert (found.num_images, found.num_animated, found.num_videos) == (1, 0, 1)
    assert found.frame_rates == {"25": 1}
    assert found.frames == Span(49.0, 49.0, 49.0)
    assert found.total_seconds == pytest.approx(49 / 25)
    assert found.codecs == {"h264 yuv420p": 1}
    assert sorted(bad.path.rsplit("/", 1)[1] for bad in found.bad) == ["broken.png", "half.mp4"]
    assert all(bad.reason and bad.exception for bad in found.bad)
    assert [bad.path.rsplit("/", 1)[1] for bad in found.skipped] == ["notes.md"]
    assert len(reports) == 4


def test_quick_reads_no_video_to_its_end(folder):
    found, _ = inspect_source(folder / "b.mp4", quick=True)
    assert found.frames == Span(49.0, 49.0, 49.0)


def test_the_contact_sheet_shows_pictures_clips_and_bad_files(folder):
    _, reports = inspect_source(folder, thumbnails=10)
    path = folder / "out" / "sheet.png"
    assert write_contact_sheet(path, reports) == 4
    sheet = Image.open(path).convert("RGB")
    assert sheet.width > 4 * 160
    assert len(sheet.getcolors(maxcolors=2**24) or []) > 1000
    sheet.close()


def test_a_source_of_many_files_shows_some_of_them(tmp_path):
    for number in range(9):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    _, reports = inspect_source(tmp_path, thumbnails=3)
    assert [report.thumbnail is not None for report in reports].count(True) == 3
