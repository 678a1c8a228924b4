"""Reconstructing files: any size, any length, memory that does not grow with it."""

import pytest
import torch

from tiny import tiny_tokenizer, tiny_wetok
from video_frames import count_frames
from vistok.data.codecs.image import read_image
from vistok.data.codecs.video import probe_video
from vistok.data.sources.bundled import SAMPLES
from vistok.data.sources.source import list_source
from vistok.eval.reconstructors.reconstruct import (
    check_outputs,
    reconstruct_file,
    reconstruct_frames,
)


def frames(count: int, size: tuple[int, int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
        for _ in range(count)
    ]


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize("count", [1, 2, 17, 20, 40])
def test_as_many_frames_come_out_as_went_in(kind, count):
    restored = list(reconstruct_frames(frames(count, (16, 16)), tiny_tokenizer(kind)))
    assert len(restored) == count


def test_streamed_frames_equal_the_one_shot_reconstruction():
    tokenizer = tiny_tokenizer("video", {"kind": "plain", "latent_channels": 4})
    clip = frames(41, (16, 24))
    whole = tokenizer.reconstruct(torch.stack(clip, dim=1)[None] / 127.5 - 1)[0]
    streamed = torch.stack(list(reconstruct_frames(clip, tokenizer)), dim=1)
    expected = ((whole + 1) * 127.5).round()
    assert (streamed.float() - expected).abs().max() <= 1  # a rounding that falls the other way


def test_a_clip_of_an_image_tokenizer_is_so_many_images_even_where_norms_follow_the_latents():
    tokenizer = tiny_wetok(generative=True)
    clip = frames(20, (8, 12))
    restored = list(reconstruct_frames(clip, tokenizer))
    (alone,) = reconstruct_frames(clip[:1], tokenizer)
    assert (restored[0].int() - alone.int()).abs().max() <= 1
    whole = tokenizer.reconstruct(torch.stack(clip, dim=1)[None] / 127.5 - 1)[0]
    streamed = torch.stack(restored, dim=1).float()
    assert (streamed - ((whole + 1) * 127.5).round()).abs().max() <= 1


@pytest.mark.parametrize("count", [1, 4, 20])
def test_a_tokenizer_of_whole_clips_gets_everything_at_once(count):
    tokenizer = tiny_wetok((1, 2, 2), times=(2, 2))
    clip = frames(count, (8, 12))
    restored = torch.stack(list(reconstruct_frames(clip, tokenizer)), dim=1).float()
    whole = tokenizer.reconstruct(torch.stack(clip, dim=1)[None] / 127.5 - 1)[0]
    assert (restored - ((whole + 1) * 127.5).round()).abs().max() <= 1


def test_frames_are_asked_for_chunk_by_chunk():
    asked = []

    def source():
        for index, frame in enumerate(frames(100, (16, 16))):
            asked.append(index)
            yield frame

    stream = reconstruct_frames(source(), tiny_tokenizer("image"))
    next(stream)
    assert len(asked) == 1
    next(stream)
    assert len(asked) <= 1 + 16


def test_an_odd_image_and_a_clip_keep_their_size(tmp_path):
    tokenizer = tiny_tokenizer("image")
    book = list_source(SAMPLES / "images" / "photo_of_book_page.jpg").files[0]
    result = reconstruct_file(book, tokenizer, tmp_path)
    assert read_image(result.path).size == (384, 191) == (result.width, result.height)
    assert read_image(result.side_by_side).size == (2 * 384, 191)
    clip = list_source(SAMPLES / "videos" / "asl_bird_0.mp4").files[0]
    result = reconstruct_file(clip, tokenizer, tmp_path, frames=9)
    assert count_frames(result.path) == result.frames == 9
    info = probe_video(result.path)
    assert (info.width, info.height, info.fps) == (192, 144, 30)
    assert read_image(result.side_by_side).size == (2 * 192, 2 * 144)


def test_results_are_never_overwritten(tmp_path):
    files = list_source("samples:heldout").files[:1]
    check_outputs(files, tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / f"{files[0].key}.png").touch()
    with pytest.raises(ValueError, match="exists already; choose another --output"):
        check_outputs(files, tmp_path)
    with pytest.raises(ValueError, match="two inputs would both be written to"):
        check_outputs([*files, *files], tmp_path / "new")
