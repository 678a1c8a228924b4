"""Sources: listed in a fixed order, told apart by content, with a clear word for what is wrong."""

import shutil
from pathlib import Path

import pytest

from vistok.data.sources.bundled import HELDOUT, SAMPLES
from vistok.data.sources.media import media_kind
from vistok.data.sources.source import list_source


def test_a_folder_is_searched_recursively_and_sorted():
    listing = list_source(SAMPLES)
    assert len(listing.of_kind("image")) == 15
    assert len(listing.of_kind("video")) == 7
    paths = [Path(file.path) for file in listing.files]
    assert paths == sorted(paths)
    assert listing.files[0].key == "images/face_astronaut"
    assert [bad.path.endswith("LICENCES.md") for bad in listing.skipped] == [True]


def test_content_decides_not_the_name(tmp_path):
    shutil.copy(SAMPLES / "videos" / "asl_bird_0.mp4", tmp_path / "clip.jpg")
    shutil.copy(SAMPLES / "images" / "kodim01.jpg", tmp_path / "picture.mp4")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").touch()
    listing = list_source(tmp_path)
    assert {f.key: f.kind for f in listing.files} == {"clip": "video", "picture": "image"}
    assert sorted(bad.reason for bad in listing.skipped) == [
        "empty file",
        "not an image or video, by its first bytes",
    ]


def test_globs_files_and_text_lists_name_the_same_pictures(tmp_path):
    picture = SAMPLES / "images" / "kodim01.jpg"
    (tmp_path / "list.txt").write_text(f"# mine\n{picture}\n\n")
    for source in (picture, f"{SAMPLES}/images/kodim01.*", tmp_path / "list.txt"):
        assert [Path(f.path).name for f in list_source(source).files] == ["kodim01.jpg"]


def test_files_that_share_a_name_keep_their_extension(tmp_path):
    shutil.copy(SAMPLES / "images" / "kodim01.jpg", tmp_path / "a.jpg")
    shutil.copy(SAMPLES / "images" / "kodim03.jpg", tmp_path / "a.jpeg")
    assert [f.key for f in list_source(tmp_path).files] == ["a_jpeg", "a_jpg"]


def test_held_out_pictures_are_not_in_the_training_set():
    train = {Path(f.path).stem for f in list_source("samples:train").files}
    heldout = {Path(f.path).stem for f in list_source("samples:heldout").files}
    assert heldout == set(HELDOUT)
    assert not train & heldout


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("nothing/here", FileNotFoundError, "'nothing/here' does not exist"),
        ("nothing/*.png", FileNotFoundError, "does not exist"),
        ("samples:nothing", ValueError, "must be one of samples:all"),
    ],
)
def test_a_missing_source_is_refused(source, error, message):
    with pytest.raises(error, match=message):
        list_source(source)


def test_a_source_without_media_is_refused(tmp_path):
    (tmp_path / "notes.md").write_text("hello")
    with pytest.raises(ValueError, match=r"contains no image or video \(1 other file\(s\)\)"):
        list_source(tmp_path)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image"),
        (b"RIFF\x00\x00\x00\x00AVI ", "video"),
        (b"\x00\x00\x00\x20ftypavif", "image"),
        (b"\x00\x00\x00\x20ftypisom", "video"),
        (b"\x1a\x45\xdf\xa3", "video"),
        (b"G" + bytes(187) + b"G", "video"),
        (b"GIF89a", "image"),
        (b"version https://git-lfs", None),
        (b"", None),
    ],
)
def test_first_bytes_tell_the_kind(head, kind):
    assert media_kind(head) == kind
