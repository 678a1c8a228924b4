"""Inputs that would silently give a wrong result are refused, with a message that helps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tiny import tiny_tokenizer
from vistok import Layout
from vistok.tokenizers.input_checks import check_pixel_range

CODES = (1, 6, 1, 2, 2)


def pixels(*size: int) -> torch.Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def entry_points(tokenizer):
    """Every public function that takes pixels, as one that takes clips."""
    return {
        "encode": tokenizer.encode,
        "encode_images": lambda x: tokenizer.encode_images(x[:, :, 0]),
        "encode_stream": lambda x: list(tokenizer.encode_stream([x])),
        "reconstruct": tokenizer.reconstruct,
        "tiled": lambda x: tokenizer.encode(x, tile=8),
    }


@pytest.mark.parametrize("name", entry_points(tiny_tokenizer()))
def test_pixels_of_another_range_or_dtype_are_refused(image_tokenizer, name):
    encode, x = entry_points(image_tokenizer)[name], pixels(1, 3, 1, 16, 16)
    bytes_ = ((x + 1) * 127.5).round()
    with pytest.raises(ValueError, match=r"pixels must lie in \[-1, 1\].*got 0.* to 25.*/ 127.5"):
        encode(bytes_.clamp(0, 255))
    with pytest.raises(ValueError, match=r"pixels must be float in \[-1, 1\], got torch.uint8"):
        encode(bytes_.to(torch.uint8))
    with pytest.raises(ValueError, match=r"pixels must lie in \[-1, 1\]"):
        encode(x.masked_fill(x == x.min(), -torch.inf))
    encode(x * 1.9)  # overshoot of resampling and of unclamped reconstructions


def test_the_training_forward_refuses_integers_but_does_not_read_the_range(image_tokenizer):
    """It would wait for the GPU; a network trained on another range is its own affair."""
    image_tokenizer(pixels(1, 3, 1, 16, 16) * 100)
    with pytest.raises(ValueError, match=r"got torch\.uint8"):
        image_tokenizer(torch.zeros(1, 3, 1, 16, 16, dtype=torch.uint8))


def test_meta_tensors_and_empty_batches_pass(image_tokenizer):
    assert len(image_tokenizer.encode(pixels(0, 3, 1, 16, 16)).tokens) == 0
    check_pixel_range(torch.empty(1, 3, 1, 16, 16, device="meta"))
    codes = torch.empty(CODES, device="meta")
    assert image_tokenizer.to("meta").decode(codes).shape == (1, 3, 1, 16, 16)


def test_tokens_must_be_integers(image_tokenizer):
    e = image_tokenizer.encode(pixels(1, 3, 1, 16, 16))
    decoded = image_tokenizer.decode_tokens(e.tokens, e.layout)
    assert torch.equal(image_tokenizer.decode_tokens(e.tokens.int(), e.layout), decoded)
    for dtype in (torch.float32, torch.bool, torch.complex64):
        with pytest.raises(ValueError, match=f"tokens must be integers, got {dtype}"):
            image_tokenizer.decode_tokens(e.tokens.to(dtype), e.layout)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((1, 640, 640), r"does not have the grids \(\(1, 2, 2\),\).* \(1, 80, 80\)"),
        ((1, 8, 16), "does not have the grids"),
        ((1, -5, 16), "must have at least one frame, row and column"),
        ((1, 0, 16), "must have at least one frame, row and column"),
        ((0, 16, 16), "must have at least one frame, row and column"),
    ],
)
def test_a_layout_must_have_the_grid_of_its_size(image_tokenizer, size, message):
    layout = Layout(((1, 2, 2),), size)
    codes = torch.zeros(CODES)
    for decode in (
        lambda: image_tokenizer.decode(codes, layout),
        lambda: image_tokenizer.decode_images(codes, layout),
        lambda: image_tokenizer.decode_tokens(torch.zeros(1, 4, dtype=torch.int64), layout),
    ):
        with pytest.raises(ValueError, match=message):
            decode()
    assert image_tokenizer.decode(codes, Layout(((1, 2, 2),), (1, 9, 16))).shape[3] == 9


@pytest.mark.parametrize("value", [{"grids": [[1, 2, 2]], "size": [1, -5, 16]}])
def test_impossible_sizes_in_files_are_refused(image_tokenizer, value):
    with pytest.raises(ValueError, match="must have at least one frame, row and column"):
        Layout.from_json(value)
    with pytest.raises(ValueError, match="must have at least one frame, row and column"):
        image_tokenizer.bits_per_pixel(Layout(((1, 2, 2),), (1, 0, 16)))


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.full(CODES, torch.nan), "24 NaN and 0 infinite of 24 values"),
        (torch.full(CODES, -torch.inf), "0 NaN and 24 infinite of 24 values"),
        (torch.zeros(CODES, dtype=torch.int64), "codes must be float, got torch.int64"),
        (torch.zeros(1, 5, 1, 2, 2), r"codes must be \(B, 6, t, h, w\), got shape \(1, 5, 1, 2, 2"),
        (torch.zeros(1, 6, 2, 2), r"codes must be \(B, 6, t, h, w\), got shape \(1, 6, 2, 2\)"),
    ],
)
def test_codes_must_be_finite_and_of_the_decoders_shape(image_tokenizer, codes, message):
    for decode in (
        image_tokenizer.decode,
        image_tokenizer.decode_images,
        lambda codes: list(image_tokenizer.decode_stream([codes])),
    ):
        with pytest.raises(ValueError, match=message):
            decode(codes)


@pytest.mark.parametrize("changed", [(2, 3, 4, 16, 16), (1, 3, 4, 24, 16), (1, 3, 4, 16, 24)])
def test_the_chunks_of_a_stream_have_one_batch_height_and_width(video_tokenizer, changed):
    chunks = [pixels(1, 3, 1, 16, 16), pixels(*changed)]
    message = "must have the batch, height and width of the first"
    with pytest.raises(ValueError, match=message):
        list(video_tokenizer.encode_stream(chunks))
    codes = [
        video_tokenizer.encode(pixels(*s[:2], 1, *s[3:])).code
        for s in map(tuple, (chunks[0].shape, changed))
    ]
    with pytest.raises(ValueError, match=message):
        list(video_tokenizer.decode_stream(codes))


@pytest.mark.parametrize("size", [(0, 16, 16), (1, 0, 16), (1, 16, 0)])
@pytest.mark.parametrize("pad", [None, "replicate"])
def test_empty_clips_are_refused_with_one_message(image_tokenizer, size, pad):
    with pytest.raises(ValueError, match="pixels must have at least one frame, row and column"):
        image_tokenizer.encode(torch.zeros(1, 3, *size), pad=pad)


# ---- the likely mistakes of somebody new ---------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Image.new("RGB", (16, 16)), "got PIL Image; use vistok.load_image"),
        (np.zeros((16, 16, 3), np.uint8), "got numpy ndarray; use vistok.load_image"),
        ("photo.jpg", "got str; use vistok.load_image or vistok.load_video"),
        (Path("photo.jpg"), "use vistok.load_image or vistok.load_video"),
        ([torch.zeros(3, 16, 16)], "got list; use vistok.load_image or vistok.load_video"),
    ],
)
def test_what_is_no_tensor_is_refused_with_the_function_that_makes_one(
    image_tokenizer, given, message
):
    for take in (image_tokenizer.encode, image_tokenizer.reconstruct, image_tokenizer):
        with pytest.raises(
            TypeError, match=rf"pixels must be a torch.Tensor in \[-1, 1\].*{message}"
        ):
            take(given)
    with pytest.raises(TypeError, match=r"images must be .* use encode\(vistok.load_image"):
        image_tokenizer.encode_images(given)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((1, 16, 16, 3), "channels come second"),
        ((16, 16, 3), "channels come second"),
        ((1, 4, 3, 16, 16), r"for \(B, T, 3, H, W\) pass pixels.transpose\(1, 2\)"),
        ((3, 16, 16), r"pass image\[None\] to encode_images"),
        ((1, 3, 16, 16), r"for images \(B, 3, H, W\) use encode_images"),
        ((3, 4, 16, 16), r"for one clip \(3, T, H, W\) pass clip\[None\]"),
    ],
)
def test_pixels_of_other_axes_are_refused_with_what_to_do(image_tokenizer, size, message):
    with pytest.raises(ValueError, match=rf"pixels must be \(B, 3, T, H, W\).*{message}"):
        image_tokenizer.encode(torch.zeros(size))


def test_clips_are_not_images(image_tokenizer):
    with pytest.raises(ValueError, match=r"images must be \(B, 3, H, W\).*for clips use encode"):
        image_tokenizer.encode_images(torch.zeros(1, 3, 1, 16, 16))


def test_a_stream_is_not_one_tensor(image_tokenizer):
    with pytest.raises(TypeError, match=r"split a clip by pixels.split\(lengths, dim=2\)"):
        image_tokenizer.encode_stream(torch.zeros(1, 3, 1, 16, 16))


def test_what_is_not_codes_is_refused_with_the_function_that_decodes_it(image_tokenizer):
    x = pixels(1, 3, 1, 16, 16)
    with torch.no_grad():
        e = image_tokenizer.encode(x)
    for integers in (e.tokens, e.index, e.indices):
        with pytest.raises(
            ValueError, match=r"got torch.int64;.* decode\(encoding\) or decode_tok"
        ):
            image_tokenizer.decode(integers)
    with pytest.raises(ValueError, match=r"for pixels use reconstruct"):
        image_tokenizer.decode(x)
    with pytest.raises(TypeError, match=r"got vistok Output; pass output.encoding"):
        image_tokenizer.decode(image_tokenizer(x))
    with pytest.raises(TypeError, match=r"codes must be a torch.Tensor, got numpy ndarray"):
        image_tokenizer.decode(e.code.numpy())
    with pytest.raises(ValueError, match="one grid per encoding, got 2"):
        image_tokenizer.decode((e.code, e.code))
    with pytest.raises(TypeError, match=r"got vistok Encoding; use decode\(encoding\)"):
        image_tokenizer.decode_tokens(e, e.layout)
    with pytest.raises(TypeError, match=r"got tuple; pass encoding.tokens"):
        image_tokenizer.decode_tokens(e.indices, e.layout)
    with pytest.raises(
        ValueError, match=r"for indices \(B, t, h, w, groups\) pass encoding.tokens"
    ):
        image_tokenizer.decode_tokens(e.index, e.layout)


def test_an_encoding_is_decoded_by_every_function_that_decodes(video_tokenizer, kl_tokenizer):
    x = pixels(2, 3, 3, 13, 9)
    e = video_tokenizer.encode(x, pad="replicate")
    assert torch.equal(video_tokenizer.decode(e), video_tokenizer.decode(e.codes, e.layout))
    assert video_tokenizer.decode(e).shape == x.shape, "its layout crops"
    assert torch.equal(
        video_tokenizer.decode(e[1:2]), video_tokenizer.decode(e.code[1:2], e.layout)
    )
    image = kl_tokenizer.encode_images(x[:, :, 0], pad="replicate")
    decoded = kl_tokenizer.decode(image.codes, image.layout)
    assert torch.equal(kl_tokenizer.decode_latents(image), decoded)
    assert torch.equal(kl_tokenizer.decode_images(image), decoded[:, :, 0])


def test_the_encodings_of_a_stream_are_decoded_as_a_stream(video_tokenizer):
    chunks = list(video_tokenizer.encode_stream(pixels(1, 3, 5, 16, 16).split([1, 4], dim=2)))
    from_codes = list(video_tokenizer.decode_stream(one.codes for one in chunks))
    for piece, expected in zip(video_tokenizer.decode_stream(chunks), from_codes, strict=True):
        assert torch.equal(piece, expected)
