"""Folders: reconstructions are found by name, never guessed, and never resized."""

from fractions import Fraction

import pytest
import torch

from vistok import evaluate
from vistok.data.codecs.write import write_image, write_video
from vistok.data.evaluation_set import EvaluationSet
from vistok.data.sources.source import list_source
from vistok.eval.reconstructors.folder import Folder

IMAGES, CLIPS = "samples:heldout", "samples:videos"


def crops(source: str, size: int, frames: int, count: int) -> dict[str, torch.Tensor]:
    dataset = EvaluationSet(list_source(source).files, size, frames, count)
    clips = {}
    for index in range(count):
        _, clip, _ = dataset[index]
        assert clip is not None
        clips[dataset.files[index].key] = clip
    return clips


def test_images_are_matched_by_name_whatever_their_order_and_extension(tmp_path):
    for key, clip in crops(IMAGES, 64, 1, 4).items():
        write_image(tmp_path / f"{key}.png", 255 - clip[:, 0])
    (row,) = evaluate(IMAGES, f"folder:{tmp_path}", size=64, metrics=("psnr",))
    (inverse,) = evaluate(IMAGES, lambda pixels: -pixels, size=64, metrics=("psnr",))
    assert row.num_samples == 4
    assert row.metrics["psnr"] == pytest.approx(inverse.metrics["psnr"])
    assert row.bits_per_pixel is None


def test_clips_are_folders_of_frames_or_video_files(tmp_path):
    (first, clip), (second, other) = crops(CLIPS, 64, 3, 2).items()
    for t, frame in enumerate(clip.unbind(1)):
        write_image(tmp_path / first / f"{t:04d}.png", frame)
    write_video(tmp_path / f"{second}.mp4", other.unbind(1), fps=Fraction(30), crf=0)
    folder = Folder(str(tmp_path))
    folder.check([first, second])
    result = folder.reconstruct(torch.stack([clip, other]), [first, second])
    assert torch.equal(result.clips[0], clip)
    assert 0 < (result.clips[1].float() - other.float()).abs().mean() < 4


def test_missing_reconstructions_are_named_before_any_work(tmp_path):
    kept, *missing = crops(IMAGES, 64, 1, 4).items()
    write_image(tmp_path / f"{kept[0]}.png", kept[1][:, 0])
    with pytest.raises(
        ValueError,
        match=rf"lacks 3 of 4 reconstructions: {missing[0][0]}.*remove it from the source",
    ):
        evaluate(IMAGES, f"folder:{tmp_path}", size=64)


def test_a_reconstruction_of_another_size_or_length_is_refused(tmp_path):
    ((key, clip),) = crops(CLIPS, 64, 3, 1).items()
    for t, frame in enumerate(clip[:, :2].unbind(1)):
        write_image(tmp_path / "short" / key / f"{t}.png", frame)
    for t, frame in enumerate(clip.unbind(1)):
        write_image(tmp_path / "small" / key / f"{t}.png", frame[:, :32, :60])
    for name, found in [("short", "2 of 64 x 64"), ("small", "3 of 32 x 60")]:
        with pytest.raises(ValueError, match=rf"must be 3 frame\(s\) of 64 x 64 .* got {found}"):
            Folder(str(tmp_path / name)).reconstruct(clip[None], [key])


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        Folder(str(tmp_path / "nothing"))
