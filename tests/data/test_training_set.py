"""The order of training data is a pure function of seed, step and world size."""

import pickle
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vistok.data.source import list_source
from vistok.data.training_set import (
    BatchPositions,
    CropRules,
    TrainingSet,
    file_index,
    training_loader,
)


@pytest.fixture(scope="module")
def dataset() -> TrainingSet:
    return TrainingSet(list_source("samples:train").files, CropRules(32), seed=3)


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_every_epoch_holds_every_file_once(num_files, seed, epoch):
    positions = range(epoch * num_files, (epoch + 1) * num_files)
    drawn = [file_index(seed, position, num_files) for position in positions]
    assert sorted(drawn) == list(range(num_files))


@settings(max_examples=50)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.data())
def test_ranks_share_every_step_without_loss_or_repetition(world, batch, steps, data):
    killed_at = data.draw(st.integers(0, steps))
    seen = Counter()
    for rank in range(world):
        before = BatchPositions(batch, 0, killed_at, rank, world)
        after = BatchPositions(batch, killed_at, steps, rank, world)
        whole = BatchPositions(batch, 0, steps, rank, world)
        assert [*before, *after] == [*whole]
        assert len(whole) == steps
        seen.update(position for step in whole for position in step)
    assert seen == Counter(range(world * batch * steps))


def test_batches_do_not_depend_on_workers(dataset):
    positions = BatchPositions(3, 2, 5)
    alone = list(training_loader(dataset, positions, workers=0))
    helped = list(training_loader(dataset, positions, workers=2))
    assert len(alone) == 3
    assert all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))
    assert alone[0].shape == (3, 3, 1, 32, 32)
    assert alone[0].dtype == torch.uint8


def test_the_cache_changes_nothing(dataset):
    cached = TrainingSet(dataset.files, dataset.rules, dataset.seed, cache_files=3)
    for position in range(40):
        assert torch.equal(cached[position], dataset[position])


def test_another_seed_draws_other_crops(dataset):
    other = TrainingSet(dataset.files, dataset.rules, seed=4)
    assert not all(torch.equal(other[p], dataset[p]) for p in range(5))


def test_clips_come_from_videos_only():
    files = list_source("samples:all").files
    clips = TrainingSet(files, CropRules(32, frames=5, stride=2, short_side=48), seed=0)
    assert {file.kind for file in clips.files} == {"video"}
    assert clips[0].shape == (3, 5, 32, 32)
    with pytest.raises(ValueError, match="needs videos, but the source holds only images"):
        TrainingSet(list_source("samples:images").files, CropRules(32, frames=5), seed=0)


def test_small_pictures_are_enlarged_to_the_crop(dataset):
    big = TrainingSet(dataset.files, CropRules(400), seed=0)
    assert big[0].shape == (3, 1, 400, 400)


def test_a_file_that_cannot_be_read_gives_way_aloud(tmp_path, dataset, caplog):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    (tmp_path / "b.jpg").write_bytes(dataset.files[0].path.read_bytes())
    mixed = TrainingSet(list_source(tmp_path).files, CropRules(32), seed=0)
    samples = [mixed[position] for position in range(4)]
    assert all(sample.shape == (3, 1, 32, 32) for sample in samples)
    assert "left out" in caplog.text
    assert "a.png" in caplog.text
    alone = TrainingSet(mixed.files[:1], CropRules(32), seed=0)
    with pytest.raises(OSError, match="none of the 1 files"):
        alone[0]


def test_it_survives_pickling_for_spawned_workers(dataset):
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[7], dataset[7])
