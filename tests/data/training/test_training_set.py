"""Training samples: the same at the same place, cut by the rules, bad files told and bounded."""

import math
import pickle
import random
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vistok.data.codecs.image import image_size
from vistok.data.codecs.video_index import index_video
from vistok.data.resize import adm_resize, adm_size
from vistok.data.sources.bundled import SAMPLES
from vistok.data.sources.media import MediaFile, bad_limit
from vistok.data.sources.source import list_source
from vistok.data.training.buckets import nearest_shapes
from vistok.data.training.crop import CropRules, crop_frames
from vistok.data.training.groups import WeightedFiles
from vistok.data.training.loader import TrainingLoader
from vistok.data.training.order import BatchPositions, SampleIndex
from vistok.data.training.training_set import TrainingSet


def training_set(source="samples:train", rules=None, seed=3, **options) -> TrainingSet:
    files = WeightedFiles(list_source(source).files)
    return TrainingSet([files], rules or CropRules(size=32), seed, **options)


def file_at(dataset: TrainingSet, index: SampleIndex) -> MediaFile:
    pool, position = dataset.pool_at(index)
    return pool[position]


@pytest.fixture(scope="module")
def dataset() -> TrainingSet:
    return training_set()


@pytest.fixture(scope="module")
def mixed() -> TrainingSet:
    rules = CropRules(
        size=16, frames=3, short_side=24, image_ratio=0.5, buckets=((16, 24), (24, 16))
    )
    return training_set("samples:all", rules)


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 3), st.integers(0, 2), st.integers(0, 3))
def test_any_ranks_workers_and_kill_step_give_the_same_batches(dataset, world, workers, kill):
    steps = 3
    whole = [dataset[SampleIndex(position)] for position in range(steps * world * 2)]
    for rank in range(world):
        parts = [
            *TrainingLoader(dataset, BatchPositions(2, 0, kill, rank, world), 0),
            *TrainingLoader(dataset, BatchPositions(2, kill, steps, rank, world), workers),
        ]
        for step, clips in enumerate(parts):
            first = (step * world + rank) * 2
            assert torch.equal(clips, torch.stack(whole[first : first + 2]))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 2))
def test_an_epoch_on_any_number_of_ranks_holds_every_file_once(dataset, world, batch, epoch):
    num_files = len(dataset.files)
    steps = math.ceil(num_files * (epoch + 1) / (world * batch))
    seen = [
        (index.position, file_at(dataset, index).path)
        for rank in range(world)
        for step in BatchPositions(batch, 0, steps, rank, world, dataset.schedule)
        for index in step
    ]
    first, last = epoch * num_files, (epoch + 1) * num_files
    assert Counter(path for position, path in seen if first <= position < last) == Counter(
        file.path for file in dataset.files
    )


def test_images_and_clips_take_turns_in_batches_of_one_shape(mixed):
    positions = BatchPositions(2, 0, 8, groups=mixed.schedule)
    alone = list(TrainingLoader(mixed, positions, workers=0))
    helped = list(TrainingLoader(mixed, positions, workers=2))
    assert all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))
    shapes = {tuple(clips.shape[2:]) for clips in alone}
    assert shapes <= {(3, 16, 24), (3, 24, 16), (1, 16, 24), (1, 24, 16)}
    assert {shape[0] for shape in shapes} == {1, 3}
    assert all(clips.dtype == torch.uint8 for clips in alone)


def test_the_share_of_image_steps_is_what_was_asked_for(mixed):
    frames = [mixed.groups[mixed.schedule.at(step)[0]].frames for step in range(4000)]
    assert frames.count(1) / 4000 == pytest.approx(0.5, abs=0.04)


def test_every_file_goes_to_the_bucket_nearest_to_its_shape(mixed):
    for group in mixed.groups:
        for file in group.pools[0]:
            if file.kind == "image":
                shapes = nearest_shapes(image_size(file.path), mixed.rules.buckets)
                assert group.shape in shapes
    assert {f.path for g in mixed.groups for p in g.pools for f in p} == {
        f.path for f in list_source("samples:all").files
    }


def test_shapes_of_one_aspect_share_all_files_without_opening_them():
    rules = CropRules(size=32, buckets=((32, 32), (64, 64)))
    both = training_set(rules=rules)
    assert [group.shape for group in both.groups] == [(32, 32), (64, 64)]
    assert both.groups[0].pools == both.groups[1].pools
    assert both.groups[0].share == both.groups[1].share == 0.5


def test_sources_are_drawn_by_their_weights():
    images = WeightedFiles(list_source("samples:images").files, weight=3.0)
    heldout = WeightedFiles(list_source("samples:heldout").files, weight=1.0)
    weighted = TrainingSet([images, heldout], CropRules(size=32), seed=0)
    first = {file.path for file in images.files} - {file.path for file in heldout.files}
    drawn = [file_at(weighted, SampleIndex(position)).path for position in range(2000)]
    # of the 15 pictures 4 are held out, so 11/15 of three quarters
    assert sum(path in first for path in drawn) / 2000 == pytest.approx(0.55, abs=0.05)


def test_the_cache_changes_nothing(dataset):
    cached = TrainingSet([WeightedFiles(dataset.files)], dataset.rules, dataset.seed, cache_files=3)
    for position in range(40):
        assert torch.equal(cached[SampleIndex(position)], dataset[SampleIndex(position)])


def test_another_seed_draws_other_crops(dataset):
    other = training_set(seed=4)
    assert not all(torch.equal(other[SampleIndex(p)], dataset[SampleIndex(p)]) for p in range(5))


def test_clips_come_from_videos_only():
    clips = training_set("samples:all", CropRules(size=32, frames=5, stride=2, short_side=48))
    assert {file.kind for file in clips.files} == {"video"}
    assert clips[SampleIndex(0)].shape == (3, 5, 32, 32)
    with pytest.raises(ValueError, match="needs videos, but the source contains only images"):
        training_set("samples:images", CropRules(size=32, frames=5))
    with pytest.raises(ValueError, match=r"image_ratio=0\.5 needs images"):
        training_set("samples:videos", CropRules(size=32, frames=5, image_ratio=0.5))


def test_a_rate_makes_clips_of_other_frames():
    slow = training_set("samples:videos", CropRules(size=32, frames=3, fps=5.0), seed=1)
    assert slow[SampleIndex(0)].shape == (3, 3, 32, 32)


@pytest.mark.parametrize("fps", [7.0, 25.0, 60.0])
def test_the_cache_changes_nothing_at_any_rate(fps):
    rules = CropRules(size=32, frames=3, stride=2, fps=fps)
    files = training_set("samples:videos", rules).files[:2]
    plain, cached = (TrainingSet([WeightedFiles(files)], rules, 1, n) for n in (0, 2))
    for position in range(4):
        assert torch.equal(cached[SampleIndex(position)], plain[SampleIndex(position)])


def test_a_rate_far_above_the_files_takes_no_memory():
    rules = CropRules(size=32, frames=3, fps=1e9)
    files = training_set("samples:videos", rules).files[:1]
    cached = TrainingSet([WeightedFiles(files)], rules, 1, cache_files=1)
    clip = cached[SampleIndex(0)]
    assert torch.equal(clip[:, 0], clip[:, 2])
    assert sum(map(len, cached.reader.cache._files.values())) == len(index_video(files[0].location))


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 600))
def test_the_size_of_a_resize_is_known_beforehand(width, height, side):
    size = adm_size((width, height), side)
    assert min(size) == side
    if max(size) < 2000 and max(width, height) < 1000:
        assert adm_resize(Image.new("L", (width, height)), side).size == size


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 90), st.integers(2, 90), st.sampled_from([(32, 32), (24, 40), (40, 24)]),
    st.sampled_from([None, 48, (40, 60)]), st.sampled_from(["random", "center"]),
)  # fmt: skip
def test_every_picture_gives_a_crop_of_the_shape(width, height, shape, short_side, crop):
    rules = CropRules(size=32, short_side=short_side, crop=crop)
    clip = crop_frames([Image.new("RGB", (width, height))] * 2, shape, rules, random.Random(0))
    assert clip.shape == (3, 2, *shape)


def test_a_center_crop_is_the_middle():
    image = Image.new("RGB", (8, 4))
    image.paste("white", (2, 0, 6, 4))
    rules = CropRules(size=4, crop="center", flip=False)
    assert crop_frames([image], (4, 4), rules, random.Random(0)).eq(255).all()


def test_small_pictures_are_enlarged_to_the_crop():
    assert training_set(rules=CropRules(size=400))[SampleIndex(0)].shape == (3, 1, 400, 400)


@pytest.fixture
def half_bad(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    picture = (SAMPLES / "images" / "kodim01.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(picture)
    return tmp_path


def test_a_file_that_cannot_be_read_gives_way_aloud(half_bad, caplog):
    loader = TrainingLoader(training_set(half_bad), BatchPositions(2, 0, 3), workers=1)
    assert all(clips.shape == (2, 3, 1, 32, 32) for clips in loader)
    assert caplog.text.count("skipping") == 1, "once, not for every sample"
    (bad,) = loader.bad_files.values()
    assert bad.path.endswith("a.png")
    assert bad.exception == "UnidentifiedImageError"


def test_too_many_bad_files_stop_the_run(half_bad):
    loader = TrainingLoader(training_set(half_bad), BatchPositions(2, 0, 3), 0, max_bad=0.0)
    with pytest.raises(OSError, match=r"1 of 2 training files cannot be read, data.max_bad=0"):
        list(loader)
    (half_bad / "b.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(OSError, match="none of 2 training files in a row can be read"):
        training_set(half_bad)[SampleIndex(0)]


def test_the_limit_of_bad_files_is_a_share_or_a_number():
    assert [bad_limit(m, 5000) for m in (0.0, 0.01, 0.5, 1.0, 7.0)] == [0, 50, 2500, 1, 7]
    assert bad_limit(0.01, 20) == 10


def test_it_survives_pickling_for_spawned_workers(mixed):
    copy = pickle.loads(pickle.dumps(mixed))
    for group in range(len(mixed.groups)):
        assert torch.equal(copy[SampleIndex(7, group)], mixed[SampleIndex(7, group)])
