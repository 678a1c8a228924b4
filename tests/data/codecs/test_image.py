"""Images arrive as upright 8-bit RGB, whatever the file's mode."""

import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from video_frames import count_frames
from vistok.data.codecs.image import image_size, read_image, to_rgb, to_tensor
from vistok.data.codecs.video import probe_video, read_clip, read_frames
from vistok.data.pixels import to_pixels, to_uint8
from vistok.data.resize import adm_center_crop, adm_resize
from vistok.data.sources.source import list_source


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


def save(path, image, **options):
    image.save(path, **options)
    return read_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(tmp_path, orientation):
    upright = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40).convert("RGB")
    inverse = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
               6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    stored = upright
    if orientation in inverse:
        stored = upright.transpose(getattr(Image.Transpose, inverse[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    assert np.array_equal(np.asarray(save(path, stored, exif=exif)), np.asarray(upright))
    assert image_size(path) == (3, 2)


def test_metadata_that_cannot_be_read_does_not_cost_the_picture(tmp_path):
    broken = b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"
    picture = save(tmp_path / "a.jpg", Image.new("RGB", (4, 2)), exif=broken, icc_profile=b"no")
    assert picture.size == (4, 2)


def test_an_embedded_profile_is_converted_to_srgb(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = Image.effect_noise((16, 16), 60).convert("RGB")
    same = save(tmp_path / "srgb.png", plain, icc_profile=srgb)
    assert np.array_equal(np.asarray(same), np.asarray(plain)), "sRGB itself changes nothing"
    lab = ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    red = Image.new("RGB", (4, 4), (200, 30, 60))
    converted = ImageCms.applyTransform(red, to_lab)
    assert converted is not None
    back = to_rgb(converted)
    assert np.abs(np.asarray(back, int) - np.asarray(red, int)).max() <= 3  # 8-bit Lab is coarse


def test_cmyk_without_a_profile_and_adobe_inversion(tmp_path):
    ink = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    red = np.asarray(save(tmp_path / "red.jpg", ink, quality=95))[4, 4]
    assert np.abs(red.astype(int) - [255, 0, 0]).max() <= 3
    assert np.asarray(save(tmp_path / "red.tif", ink))[0, 0].tolist() == [255, 0, 0]


def test_a_transparent_colour_is_white(tmp_path):
    grey = Image.fromarray(np.array([[10, 200]], dtype=np.uint8))
    assert np.asarray(save(tmp_path / "a.png", grey, transparency=10))[0, :, 0].tolist() == [
        255,
        200,
    ]
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    read = np.asarray(save(tmp_path / "b.png", palette, transparency=b"\x00\xff"))
    assert read[0].tolist() == [[255, 255, 255], [0, 0, 255]]


def test_depth_and_meaning_of_tiff_greys(tmp_path):
    values = np.array([[0, 4095]], dtype=np.uint16)
    image = Image.fromarray(values)
    image.save(tmp_path / "white.tif", tiffinfo={262: 0})
    assert to_tensor(read_image(tmp_path / "white.tif"))[0, 0].tolist() == [255, 255 - 16]
    with pytest.raises(OSError, match=r"integer grays must be in \[0, 65535\], got 70000"):
        save(tmp_path / "deep.tif", Image.fromarray(np.array([[70000]], dtype=np.int32)))
    with pytest.raises(OSError, match="not finite"):
        save(tmp_path / "nan.tif", Image.fromarray(np.array([[np.nan]], dtype=np.float32)))


def test_a_bomb_is_refused_by_its_header(tmp_path):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    for side in (8193, 2**31 - 1):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0"))
        (tmp_path / "bomb.png").write_bytes(png)
        with pytest.raises(OSError, match="DecompressionBombError"):
            read_image(tmp_path / "bomb.png")


def test_a_thread_of_pixels_is_not_blown_up():
    with pytest.raises(ValueError, match="more than the maximum of"):
        adm_resize(Image.new("RGB", (60_000, 1)), 256)


def test_programs_are_not_called_for_exotic_formats(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")
    with pytest.raises(OSError, match="not an image, or its header is damaged"):
        read_image(tmp_path / "a.eps")


def test_animations_are_images_and_videos(tmp_path):
    frames = [Image.new("RGB", (6, 4), (level, 0, 0)) for level in (0, 100, 200)]
    for name in ("a.gif", "a.webp", "a.png"):
        path = tmp_path / name
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=[50, 100, 50],
                       loop=0, lossless=True)  # fmt: skip
        (file,) = list_source(path).files
        assert (file.kind, file.animated) == ("image", True)
        assert read_image(path).getpixel((0, 0)) == (0, 0, 0)
        assert [int(f[0, 0, 0]) for f in read_frames(path)] == [0, 100, 200]
        assert read_clip(path, 2, start=1)[0, :, 0, 0].tolist() == [100, 200]
        assert probe_video(path).num_frames == count_frames(path) == 3
        # 0 ... 50 ... 150 ms at 20 frames a second: the middle one is shown twice
        assert read_clip(path, 4, fps=Fraction(20))[0, :, 0, 0].tolist() == [0, 100, 100, 200]
