"""The numbers and images of a comparison are those of the evaluation and of the files on disk."""

import io
from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tiny import tiny_tokenizer, tiny_wetok
from vistok.data.codecs.write import write_image
from vistok.data.sources.bundled import SAMPLES
from vistok.encode.shard import token_schema
from vistok.eval.reconstructors.catalog import open_all, open_reconstructors
from vistok.eval.reconstructors.function import Function
from vistok.eval.reconstructors.saved_tokenizer import TokenizerReconstructor
from vistok.page.clip import Limits, OpenedClip, open_clip
from vistok.page.code_image import MAX_GROUPS, code_images
from vistok.page.comparison import Compared, compare

PHOTO = SAMPLES / "images" / "kodim15.jpg"


def clip_of(pixels: Tensor) -> OpenedClip:
    return OpenedClip("made", pixels, 0, ())


def noise(frames: int, height: int, width: int) -> OpenedClip:
    generator = torch.Generator().manual_seed(0)
    size = (3, frames, height, width)
    return clip_of(torch.randint(0, 256, size, generator=generator, dtype=torch.uint8))


def only(original: OpenedClip, item) -> Compared:
    comparison = compare(original, open_all(item, "cpu", torch.float32))
    assert comparison.failures == ()
    (result,) = comparison.results
    return result


def test_the_numbers_are_those_of_an_evaluation(tmp_path: Path):
    from vistok.eval.job import run_evaluation

    original = open_clip(PHOTO, Limits())
    square = original.pixels[:, :, :, 64:320]
    write_image(tmp_path / "source" / "a.png", square[:, 0])
    names = ["jpeg:q=30", "identity", "bicubic:f=4"]
    evaluated = run_evaluation(
        tmp_path / "source", names, tmp_path / "report", size=256, metrics=("psnr", "ssim")
    )
    comparison = compare(clip_of(square), open_all(names, "cpu", torch.float32))
    for row, result in zip(evaluated.rows, comparison.results, strict=True):
        assert result.name == row.tokenizer
        assert result.psnr == pytest.approx(row.metrics["psnr"], rel=1e-9)
        assert result.ssim == pytest.approx(row.metrics["ssim"], rel=1e-9)
        assert result.bits_per_pixel == pytest.approx(row.bits_per_pixel, rel=1e-9)
    assert [result.psnr == inf for result in comparison.results] == [False, True, False]


def test_a_codec_takes_the_size_of_its_file():
    original = open_clip(PHOTO, Limits())
    result = only(original, "jpeg:q=50")
    file = io.BytesIO()
    Image.fromarray(original.pixels[:, 0].permute(1, 2, 0).numpy()).save(file, "JPEG", quality=50)
    assert result.stored_bytes == len(file.getvalue())
    decoded = np.array(Image.open(file).convert("RGB"))
    assert np.array_equal(result.clip[:, 0].permute(1, 2, 0).numpy(), decoded)
    assert (result.codes, result.num_tokens) == ((), None)


def test_tokens_take_the_bytes_of_the_column_of_their_shards():
    result = only(noise(1, 48, 64), tiny_tokenizer())
    num_tokens = 6 * 8
    assert result.num_tokens == num_tokens
    width = token_schema(result.group_sizes[0]).field("tokens").type.value_type.bit_width
    assert result.stored_bytes == num_tokens * width // 8
    assert [tuple(image.shape) for image in result.codes] == [(3, 1, 6, 8)]


def test_latents_take_two_bytes_each_and_are_drawn_as_one_image():
    tokenizer = tiny_tokenizer("image", {"kind": "kl", "latent_channels": 4})
    result = only(noise(2, 32, 40), tokenizer)
    assert result.stored_bytes == 2 * 4 * 5 * 4 * 2
    assert result.num_tokens is None
    assert [tuple(image.shape) for image in result.codes] == [(3, 2, 4, 5)]


def test_codes_of_every_group_are_drawn_at_their_positions():
    result = only(noise(1, 16, 24), tiny_wetok())
    assert len(result.codes) == len(result.group_sizes) == 2
    assert not torch.equal(*result.codes)


def test_a_frame_shows_the_codes_of_its_latent_frame():
    result = only(noise(9, 16, 16), tiny_tokenizer("video"))
    assert result.codes[0].shape[1] == 3
    numbered = torch.arange(3, dtype=torch.uint8).view(1, 3, 1, 1).expand(3, 3, 2, 2)
    result = replace(result, codes=(numbered,))
    assert [int(result.codes_at(f)[0][0, 0, 0]) for f in range(9)] == [0, 1, 1, 1, 1, 2, 2, 2, 2]


def test_colors_run_from_blue_to_red_and_equal_indices_have_equal_colors():
    indices = torch.tensor([0, 9, 5, 5]).view(1, 2, 2, 1)
    (image,) = code_images(indices, (10,))
    assert image.shape == (3, 1, 2, 2)
    first, last, *same = image.flatten(1).T.int()
    assert first[2] > first[0]
    assert last[0] > last[2]
    assert torch.equal(*same)
    assert len(code_images(torch.zeros(1, 2, 2, 12, dtype=torch.int64), (1,) * 12)) == MAX_GROUPS


def test_one_failure_is_reported_and_the_others_are_compared():
    def broken(pixels: Tensor) -> Tensor:
        raise RuntimeError("out of memory")

    started: list[str] = []
    reconstructors = [*open_reconstructors("identity"), Function("broken", broken)]
    comparison = compare(noise(1, 16, 16), reconstructors, started.append)
    assert started == ["identity", "broken"]
    assert [result.name for result in comparison.results] == ["identity"]
    (failure,) = comparison.failures
    assert failure.name == "broken"
    assert "out of memory" in failure.reason


def test_an_image_smaller_than_the_window_of_ssim_has_none():
    assert only(noise(1, 8, 64), "identity").ssim is None


def test_a_decoder_with_noise_repeats_its_result_and_leaves_the_random_state():
    reconstructor = TokenizerReconstructor("noisy", tiny_wetok(generative=True))
    original = noise(1, 16, 16)
    before = torch.random.get_rng_state()
    first, second = (compare(original, [reconstructor]).results[0] for _ in range(2))
    assert torch.equal(first.clip, second.clip)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_comparison_prints_no_pixels():
    assert len(repr(only(noise(1, 16, 16), "identity"))) < 400
