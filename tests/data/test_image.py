"""Images arrive as upright 8-bit RGB, whatever the file's mode."""

import numpy as np
import pytest
import torch
from PIL import Image

from vistok.data.image import read_image, to_rgb, to_tensor
from vistok.data.pixels import to_pixels, to_uint8
from vistok.data.resize import adm_center_crop, adm_resize


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (20, 10), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").size == (10, 20)


def test_transparency_lies_over_white():
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    assert to_rgb(clear).getpixel((0, 0)) == (255, 255, 255)
    half = Image.new("LA", (2, 2), (0, 128))
    assert to_rgb(half).getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 32768, 65535]], dtype=np.uint16), [0, 128, 255]),
        (np.array([[0.0, 0.5, 1.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], dtype=np.float32), [0, 100, 255]),
    ],
)
def test_wide_greys_are_scaled_to_8_bits(values, expected):
    tensor = to_tensor(to_rgb(Image.fromarray(values)))
    assert tensor[0, 0].tolist() == expected


def test_other_modes_become_rgb():
    for mode in ("L", "P", "1", "CMYK", "YCbCr", "HSV"):
        assert to_rgb(Image.new(mode, (3, 2))).mode == "RGB"


def test_a_damaged_file_is_an_os_error(tmp_path):
    path = tmp_path / "half.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(OSError, match=r"."):
        read_image(path)


def test_pixels_and_8_bits_are_inverse_for_every_grey_level():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_pixels(levels)), levels)
    assert to_uint8(torch.tensor([-2.0, 2.0])).tolist() == [0, 255]


def test_the_adm_resize_halves_with_a_box_before_the_bicubic_step():
    image = Image.effect_noise((512, 256), 60).convert("RGB")
    halved = image.resize((256, 128), Image.Resampling.BOX)
    expected = halved.resize((200, 100), Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(adm_resize(image, 100)), np.asarray(expected))
    assert adm_center_crop(image, 100).size == (100, 100)
