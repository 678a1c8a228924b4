"""Evaluation data: every file once, in order, bad ones named."""

import pytest
import torch

from vistok.data.evaluation_set import EvaluationSet, evaluation_batches
from vistok.data.sources.source import list_source


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("workers", [0, 1])
def test_every_picture_comes_once_and_in_order(batch_size, workers):
    dataset = EvaluationSet(list_source("samples:images").files, 64)
    batches = list(evaluation_batches(dataset, batch_size, workers))
    positions = [position for batch in batches for position in batch.positions]
    assert positions == list(range(len(list_source("samples:images").files)))
    for batch in batches:
        assert batch.clips is not None
        assert batch.clips.shape[1:] == (3, 1, 64, 64)


def test_a_share_of_the_positions_reads_these_files_only():
    dataset = EvaluationSet(list_source("samples:images").files, 64)
    (whole,) = evaluation_batches(dataset, 100)
    (share,) = evaluation_batches(dataset, 100, positions=[5, 2])
    assert share.positions == (5, 2)
    assert share.clips is not None
    assert whole.clips is not None
    assert torch.equal(share.clips, whole.clips[[5, 2]])
    assert list(evaluation_batches(dataset, 100, positions=[])) == []


@pytest.mark.parametrize("resize", ["bilinear", "bicubic"])
def test_other_resizes_are_torchvisions_on_pillow_images(resize):
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    from vistok.data.codecs.image import read_image, to_tensor

    files = list_source("samples:images").files
    theirs = Compose([Resize(75, InterpolationMode(resize)), CenterCrop(75)])
    dataset = EvaluationSet(files, 75, resize=resize)
    assert len(dataset) == len(files)
    for index, file in enumerate(files):
        _, clip, _ = dataset[index]
        assert clip is not None
        assert torch.equal(clip[:, 0], to_tensor(theirs(read_image(file.location))))


def test_bad_files_are_named_and_counted(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    dataset = EvaluationSet(list_source(tmp_path).files, 64)
    (batch,) = evaluation_batches(dataset, 4)
    assert (batch.positions, batch.clips) == ((), None)
    assert batch.bad[0].path.endswith("a.png")
    assert batch.bad[0].exception in ("UnidentifiedImageError", "SyntaxError", "OSError")


def test_clips_are_the_first_frames_of_videos():
    dataset = EvaluationSet(list_source("samples:all").files, 32, frames=5, limit=2)
    (batch,) = evaluation_batches(dataset, 4)
    assert [dataset.files[i].kind for i in batch.positions] == ["video", "video"]
    assert batch.clips is not None
    assert batch.clips.shape == (2, 3, 5, 32, 32)
    assert batch.clips.dtype == torch.uint8


def test_a_source_of_the_other_kind_is_refused():
    with pytest.raises(ValueError, match="frames=5 evaluates videos, but the source contains none"):
        EvaluationSet(list_source("samples:images").files, 64, frames=5)
