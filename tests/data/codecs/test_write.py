"""Written images and clips appear whole or not at all; a full disk is reported by path."""

from fractions import Fraction

import pytest
import torch
from PIL import Image

from full_disk import full_disk
from vistok.data.codecs.image import read_image
from vistok.data.codecs.write import write_image, write_video
from vistok.output_file import OutputError

NOISE = torch.randint(0, 256, (3, 128, 128), dtype=torch.uint8)


def test_an_image_on_a_full_disk_leaves_nothing_and_names_its_path(tmp_path):
    target = tmp_path / "images" / "noise.png"
    with full_disk(5000), pytest.raises(OutputError, match=r"images/noise\.png"):
        write_image(target, NOISE)
    assert not list(target.parent.iterdir())
    write_image(target, NOISE)
    assert read_image(target).size == (128, 128)


def test_a_clip_on_a_full_disk_leaves_nothing_and_names_its_path(tmp_path):
    target = tmp_path / "noise.mp4"
    with full_disk(5000), pytest.raises(OutputError, match=r"noise\.mp4"):
        write_video(target, [NOISE] * 4, Fraction(25))
    assert not list(tmp_path.iterdir())


def test_an_image_gets_its_name_only_when_it_is_whole(tmp_path, monkeypatch):
    target, present, save = tmp_path / "noise.png", [], Image.Image.save

    def watched_save(image, path):
        save(image, path)
        present.append(target.exists())

    monkeypatch.setattr(Image.Image, "save", watched_save)
    write_image(target, NOISE)
    assert (present, target.exists()) == ([False], True)
