"""Evaluation data: every file once, in order, bad ones named."""

import pytest
import torch

from vistok.data.evaluation_set import EvaluationSet, evaluation_batches
from vistok.data.source import list_source


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("workers", [0, 1])
def test_every_picture_comes_once_and_in_order(batch_size, workers):
    dataset = EvaluationSet(list_source("samples:images").files, 64)
    batches = list(evaluation_batches(dataset, batch_size, workers))
    keys = [file.key for files, _, _ in batches for file in files]
    assert keys == [file.key for file in list_source("samples:images").files]
    assert all(clips.shape[1:] == (3, 1, 64, 64) for _, clips, _ in batches)


def test_bad_files_are_named_and_counted(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    dataset = EvaluationSet(list_source(tmp_path).files, 64)
    ((files, clips, bad),) = evaluation_batches(dataset, 4)
    assert (files, clips) == ([], None)
    assert bad[0].path.endswith("a.png")
    assert bad[0].exception in ("UnidentifiedImageError", "SyntaxError", "OSError")


def test_clips_are_the_first_frames_of_videos():
    dataset = EvaluationSet(list_source("samples:all").files, 32, frames=5, limit=2)
    ((files, clips, _),) = evaluation_batches(dataset, 4)
    assert [file.kind for file in files] == ["video", "video"]
    assert clips.shape == (2, 3, 5, 32, 32)
    assert clips.dtype == torch.uint8


def test_a_source_of_the_other_kind_is_refused():
    with pytest.raises(ValueError, match="frames=5 evaluates videos, but the source holds none"):
        EvaluationSet(list_source("samples:images").files, 64, frames=5)
