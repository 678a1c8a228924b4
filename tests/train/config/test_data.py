"""The data section: sources with weights, and settings that contradict each other."""

import pytest

from vistok.component import validate
from vistok.config import flatten
from vistok.data.training.batch_kind import BatchKind
from vistok.train.config.data import Data
from vistok.train.config.files import load_run_config


def data_config(**options):
    return Data.model_validate({"source": "samples:train", **options})


def test_sources_may_have_weights():
    parts = [{"source": "a", "weight": 2}, {"source": "b", "weight": 1}]
    assert data_config(source=parts).sources == [("a", 2.0), ("b", 1.0)]
    assert data_config().sources == [("samples:train", None)]
    rules = data_config(size=32, short_side=[40, 60], buckets=[[32, 48]])
    assert (rules.short_side, rules.shapes) == ((40, 60), ((32, 48),))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_ratio": 0.5}, r"image_ratio=0\.5 needs frames > 1, got frames=1"),
        ({"fps": 5}, "fps=5 needs frames > 1"),
        ({"short_side": [60, 40], "size": 32}, r"short_side must rise, got \[60, 40\]"),
        ({"short_side": 100}, "short_side must be at least the crop's, 256, got 100"),
        ({"source": ""}, "source is empty; give a folder"),
        ({"source": [{"source": " ", "weight": 1}]}, "source is empty"),
        ({"source": []}, "at least 1 item"),
        ({"max_bad": -1}, "greater than or equal to 0"),
    ],
)
def test_data_settings_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        data_config(**options)


CLIPS = {"frames": 17, "size": 64, "share": 3, "batch_size": 4}
IMAGES = {"frames": 1, "size": [[64, 64], [48, 80]], "share": 1, "batch_size": 32}


def test_rows_give_each_kind_of_batch_its_length_size_share_and_batch_size():
    rules = data_config(frames=17, size=64, buckets=[CLIPS, IMAGES])
    assert rules.kinds == (
        BatchKind(17, ((64, 64),), 3.0, 4),
        BatchKind(1, ((64, 64), (48, 80)), 1.0, 32),
    )
    assert rules.shapes == ((64, 64), (48, 80))
    assert rules.has_clips


def test_the_size_of_a_row_may_be_one_height_and_width():
    (kind,) = data_config(size=64, buckets=[{"size": [48, 80]}]).kinds
    assert kind.shapes == ((48, 80),)


def test_what_a_row_leaves_out_is_that_of_the_run():
    rules = data_config(frames=9, size=32, buckets=[{}, {"frames": 1, "share": 0.5}])
    assert rules.kinds == (
        BatchKind(9, ((32, 32),), 1.0, None), BatchKind(1, ((32, 32),), 0.5, None)
    )  # fmt: skip


def test_without_rows_there_are_clips_and_images_of_one_batch_size():
    both = data_config(frames=5, image_ratio=0.25, buckets=[[16, 24], [24, 16]])
    shapes = ((16, 24), (24, 16))
    assert both.kinds == (BatchKind(5, shapes, 0.75), BatchKind(1, shapes, 0.25))
    assert data_config(size=32).kinds == (BatchKind(1, ((32, 32),), 1.0),)


def test_rows_survive_the_config_file_and_are_reached_by_overrides():
    rows = ["data.frames=17", "data.buckets=[{batch_size: 2}, {frames: 1, size: 64, share: 2}]"]
    settings = ["data.source=samples:all", *rows, "data.buckets.1.batch_size=9"]
    config = load_run_config("video_fsq_4x8x8", settings)
    assert [kind.batch_size for kind in config.data.kinds] == [2, 9]
    assert flatten(config.to_tree())["data.buckets.1.size"] == 64
    assert validate(type(config), config.to_tree()) == config


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"shar": 1}], r"^buckets\.0\.shar: unknown key; did you mean buckets\.share\?$"),
        ([{"share": 0}], r"^buckets\.0\.share: .*greater than 0, got 0$"),
        ([{"share": float("nan")}], r"^buckets\.0\.share: .*nan$"),
        ([{"share": float("inf")}], r"^buckets\.0\.share: .*finite.*inf$"),
        ([{"batch_size": 0}], r"^buckets\.0\.batch_size: .*greater than 0, got 0$"),
        ([CLIPS, [64, 64]], r"^buckets\.1: input should be a valid dictionary.*got \[64, 64\]$"),
        ([64], r"^buckets\.0: input should be a valid tuple, got 64$"),
        (64, r"^buckets: input should be a valid tuple, got 64$"),
        ([CLIPS, {**CLIPS, "share": 1}], r"buckets\.1 repeats frames and size of buckets\.0"),
        ([{"size": []}], r"^buckets\.0\.size\.0: required, but not set"),
        ([{"size": "big"}], r"^buckets\.0\.size: .*valid integer.* or a valid tuple, got 'big'$"),
        ([{"size": [[64, 0]]}], r"buckets\.0\.size.*greater than 0, got 0"),
        ([{"frames": 1}], "frames=17 is the length of evaluated samples, but .* frames 1;"),
        ([{"size": 16}], "short_side must be at least the crop's, 16, got 8"),
    ],
)
def test_rows_that_cannot_be_meant_are_refused(rows, message):
    values = {"source": "samples:all", "frames": 17, "size": 64, "buckets": rows}
    with pytest.raises(ValueError, match=message):
        validate(Data, {**values, "short_side": 8 if rows == [{"size": 16}] else None})


def test_rows_exclude_the_ratio_of_images_and_clips_need_a_length_to_be_scored_at():
    with pytest.raises(ValueError, match=r"image_ratio=0\.5 and rows in buckets exclude"):
        data_config(frames=17, image_ratio=0.5, buckets=[CLIPS])
    with pytest.raises(ValueError, match="frames=1 is the length of evaluated samples"):
        data_config(buckets=[CLIPS, IMAGES])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{frames: 16}", r"data\.buckets\.1: size=128 x 128, frames=16: .*nearest legal: 13 or 17"),
        ("{size: 60}", r"data\.buckets\.1: size=60 x 60, frames=17: .*nearest legal: 56 or 64"),
        ("{size: [[64, 64], [64, 68]]}", r"data\.buckets\.1: size=64 x 68, frames=17"),
    ],
)
def test_every_row_must_fit_the_networks(row, message):
    settings = ["data.source=samples:all", f"data.buckets=[{{frames: 1}}, {row}]"]
    with pytest.raises(ValueError, match=message):
        load_run_config("video_fsq_4x8x8", settings)


def test_a_discriminator_must_fit_the_crops_of_every_row():
    settings = ["data.source=samples:all", "data.buckets=[{}, {frames: 1, size: 16}]"]
    load_run_config("video_fsq_4x8x8", settings)
    with pytest.raises(ValueError, match="at least 24 x 24 pixels, got 16 x 16"):
        load_run_config("video_fsq_4x8x8", [*settings, "train.losses.adversarial_weight=0.1"])


def test_the_order_is_exact_unless_shards_are_to_be_streamed():
    assert Data(source="photos/").shuffle == "exact"
    data = Data.model_validate({"source": "s.tar", "shuffle": "stream", "shuffle_buffer": 50})
    assert Data.model_validate(data.model_dump()) == data


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shuffle": "random"}, "'exact' or 'stream'"),
        ({"shuffle_buffer": 50}, "shuffle_buffer=50 needs shuffle=stream"),
        ({"shuffle": "stream", "shuffle_buffer": 0}, "greater than 0"),
        ({"shuffle": "stream", "cache_files": 9}, "cache_files=9 needs shuffle=exact"),
        ({"shuffle": "stream", "buckets": [[32, 64], [64, 32]]},
         r"shuffle=stream cannot sort files by aspect ratio, .* 32 x 64, 64 x 32; use"),
        ({"shuffle": "stream", "buckets": [{"size": 32}, {"size": [[32, 64], [64, 32]]}]},
         "shuffle=stream cannot sort files by aspect ratio"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_with_a_stream_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Data.model_validate({"source": "s.tar", **options})


def test_rows_of_one_aspect_ratio_each_may_be_streamed():
    rows = [{"size": [32, 64]}, {"size": [64, 32]}, {"size": [[32, 32], [48, 48]]}]
    data = Data.model_validate({"source": "s.tar", "shuffle": "stream", "buckets": rows})
    shapes = [kind.shapes for kind in data.kinds]
    assert shapes == [((32, 64),), ((64, 32),), ((32, 32), (48, 48))]
