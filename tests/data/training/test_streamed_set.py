"""Streamed training data: every shard once per epoch, samples of the rules, bad files reported."""

import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from ranged_server import serve
from vistok.data.sources.bundled import SAMPLES
from vistok.data.sources.media import BadFile
from vistok.data.sources.shard_stream import list_shards, media_kinds
from vistok.data.training import sample, streamed_set
from vistok.data.training.bad_files import BadFileLog
from vistok.data.training.batch_kind import BucketRow
from vistok.data.training.crop import CropRules
from vistok.data.training.loader import TrainingLoader
from vistok.data.training.order import BatchPositions
from vistok.data.training.shard_files import ShardFiles, ShardPool
from vistok.data.training.streamed_set import StreamedSet, WeightedShards

CLIPS = [(SAMPLES / "videos" / f"{name}_0.mp4").read_bytes() for name in ("asl_bird", "asl_walk")]
NUM_SHARDS, PER_SHARD = 5, 4
DAMAGED = b"\x89PNG\r\n\x1a\n" + bytes(20)


def gray(value: int) -> bytes:
    """An image whose first pixel is its number."""
    buffer = io.BytesIO()
    Image.new("L", (12, 8), value).save(buffer, "PNG")
    return buffer.getvalue()


def write_shard(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.fixture(scope="module")
def grays(tmp_path_factory) -> Path:
    """Five shards of four images each; the gray value of an image is its number."""
    folder = tmp_path_factory.mktemp("grays")
    for shard in range(NUM_SHARDS):
        numbers = range(shard * PER_SHARD, (shard + 1) * PER_SHARD)
        write_shard(folder / f"{shard}.tar", {f"{n:03}.png": gray(n) for n in numbers})
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """Two shards of samples with an image, a clip and a caption each."""
    folder = tmp_path_factory.mktemp("pairs")
    for shard, clip in enumerate(CLIPS):
        members = {"0.image.png": gray(shard), "0.video.mp4": clip, "0.json": b'{"caption": "x"}'}
        write_shard(folder / f"{shard}.tar", members)
    return folder


def streamed(source: object, rules: CropRules, weight: float | None = None) -> WeightedShards:
    shards, _ = list_shards(str(source))
    return WeightedShards(shards, media_kinds(str(source), shards), weight)


def stream(source: object, buffer: int = 3, **rules: object) -> StreamedSet:
    chosen = CropRules.model_validate({"size": 8, "flip": False, **rules})
    return StreamedSet([streamed(source, chosen)], chosen, seed=3, buffer=buffer)


def drawn(dataset: StreamedSet, positions: BatchPositions, workers: int = 0) -> list[list[int]]:
    """The numbers of the images of every batch."""
    return [clips[:, 0, 0, 0, 0].tolist() for clips in TrainingLoader(dataset, positions, workers)]


@pytest.mark.parametrize(("world", "workers"), [(1, 1), (2, 1), (2, 3), (3, 4)])
def test_all_readers_together_read_every_shard_once_per_epoch(grays, world, workers):
    pool, readers = ShardPool(list_shards(str(grays))[0], None), world * workers
    epochs = readers  # so that all readers take the same number of shards
    seen = Counter[str]()
    for reader in range(readers):
        files = ShardFiles(pool, "key", reader=reader, num_readers=readers, buffer=1)
        seen.update(next(files).path for _ in range(NUM_SHARDS * PER_SHARD * epochs // readers))
    assert set(seen.values()) == {epochs}
    assert len(seen) == NUM_SHARDS * PER_SHARD


def test_the_order_of_shards_is_a_permutation_of_seed_and_epoch(grays):
    pool = ShardPool(list_shards(str(grays))[0], None)

    def order(key: str) -> list[list[str]]:
        files = ShardFiles(pool, key, reader=0, num_readers=1, buffer=1)
        shards = [next(files).path.partition("!")[0] for _ in range(3 * NUM_SHARDS * PER_SHARD)]
        epochs = [shards[::PER_SHARD][e * NUM_SHARDS :][:NUM_SHARDS] for e in range(3)]
        assert all(sorted(epoch) == list(pool.shards) for epoch in epochs)
        return epochs

    assert order("a") == order("a")
    assert order("a")[0] != order("a")[1]
    assert order("a") != order("b")


def test_files_are_shuffled_within_the_buffer(grays):
    pool = ShardPool(list_shards(str(grays))[0], None)
    in_order = ShardFiles(pool, "key", reader=0, num_readers=1, buffer=1)
    shuffled = ShardFiles(pool, "key", reader=0, num_readers=1, buffer=8)
    first, second = ([next(files).path for _ in range(40)] for files in (in_order, shuffled))
    assert first != second
    assert len(set(first[:20]) - set(second[:28])) <= 8, "they differ by the buffer"


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_seed_step_ranks_and_workers(grays, workers):
    dataset = stream(grays)
    ranks = [drawn(dataset, BatchPositions(2, 0, 9, rank, 2), workers) for rank in (0, 1)]
    again = [drawn(stream(grays), BatchPositions(2, 0, 9, rank, 2), workers) for rank in (0, 1)]
    assert ranks == again
    assert [len(batches) for batches in ranks] == [9, 9]
    assert ranks[0] != ranks[1]
    resumed = drawn(dataset, BatchPositions(2, 5, 9, 0, 2), workers)
    assert resumed == drawn(dataset, BatchPositions(2, 5, 9, 0, 2), workers)
    assert resumed != ranks[0][5:], "resuming is not exact: a new pass in an order of its own"


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_from_a_server_give_the_batches_of_local_ones(grays, workers):
    positions = BatchPositions(2, 0, 6)
    local = drawn(stream(grays), positions, workers)
    with serve(grays) as url:
        shards = tuple(f"{url}/{number}.tar" for number in range(NUM_SHARDS))
        rules = CropRules(size=8, flip=False)
        sources = [WeightedShards(shards, media_kinds("url", shards))]
        assert drawn(StreamedSet(sources, rules, seed=3, buffer=3), positions, workers) == local


def test_rows_of_images_and_clips_take_the_members_of_their_kind(pairs):
    rows = (
        BucketRow(frames=5, size=16, share=2, batch_size=2),
        BucketRow(frames=3, size=((8, 8), (12, 12)), batch_size=1),
        BucketRow(frames=1, size=(8, 12), batch_size=3),
    )
    dataset = stream(pairs, frames=5, buckets=rows)
    assert [group.share for group in dataset.groups] == [2, 0.5, 0.5, 1]
    positions = BatchPositions((2, 1, 1, 3), 0, 16, groups=dataset.schedule)
    shapes = {tuple(clips.shape) for clips in TrainingLoader(dataset, positions, workers=2)}
    assert shapes == {(2, 3, 5, 16, 16), (1, 3, 3, 8, 8), (1, 3, 3, 12, 12), (3, 3, 1, 8, 12)}


def test_single_frames_come_from_videos_too_where_a_run_has_no_clips(pairs):
    files = ShardFiles(
        ShardPool(list_shards(str(pairs))[0], None), "k", reader=0, num_readers=1, buffer=1
    )
    assert {next(files).kind for _ in range(4)} == {"image", "video"}
    assert next(iter(TrainingLoader(stream(pairs), BatchPositions(4, 0, 1), 0))).shape[2] == 1


def test_sources_are_drawn_by_their_weights_and_kinds(grays, pairs, tmp_path):
    write_shard(tmp_path / "white.tar", {"0.png": gray(255)})
    rules = CropRules(size=8, flip=False, short_side=8)
    sources = [streamed(grays, rules, 1.0), streamed(tmp_path, rules, 3.0)]
    dataset = StreamedSet(sources, rules, seed=0, buffer=3)
    numbers = [n for batch in drawn(dataset, BatchPositions(20, 0, 10)) for n in batch]
    # 4 standard deviations of a share of 200 draws
    assert numbers.count(255) / 200 == pytest.approx(0.75, abs=0.125)
    clips = CropRules(size=8, frames=3, image_ratio=0.5)
    mixed = StreamedSet([streamed(grays, clips, 1.0), streamed(pairs, clips, 1.0)], clips, seed=0)
    assert [len(group.pools) for group in mixed.groups] == [1, 2]


def test_a_kind_that_the_source_lacks_is_an_error(grays):
    with pytest.raises(ValueError, match=r"data\.frames=3 needs videos"):
        stream(grays, frames=3)


def test_several_aspect_ratios_in_a_row_are_refused(grays):
    with pytest.raises(ValueError, match=r"shuffle=stream cannot sort .* 8 x 12, 12 x 8"):
        stream(grays, buckets=((8, 12), (12, 8)))


def test_the_first_clips_are_the_first_files_unshuffled(grays):
    first = stream(grays).first_clips(6)
    assert torch.equal(first, stream(grays, buffer=9).first_clips(6))
    numbers = first[:, 0, 0, 0, 0].tolist()
    assert numbers[1:4] == [numbers[0] + 1, numbers[0] + 2, numbers[0] + 3]


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_members_and_shards_are_reported_and_replaced(tmp_path, caplog, workers):
    write_shard(tmp_path / "0.tar", {"0.png": gray(7), "1.png": DAMAGED})
    write_shard(tmp_path / "1.tar", {"2.png": gray(8)})
    (tmp_path / "1.tar").write_bytes((tmp_path / "1.tar").read_bytes()[:1024])
    loader = TrainingLoader(stream(tmp_path, buffer=1), BatchPositions(2, 0, 4), workers)
    assert {n for clips in loader for n in clips[:, 0, 0, 0, 0].tolist()} == {7, 8}
    assert {Path(path).name: bad.exception for path, bad in loader.bad_files.items()} == {
        "0.tar!1.png": "UnidentifiedImageError",
        "1.tar": "ReadError",
    }
    assert caplog.text.count("skipping") == 2, "once each"
    with pytest.raises(OSError, match=r"1 of about \d training files cannot be read"):
        list(TrainingLoader(stream(tmp_path, buffer=1), BatchPositions(2, 0, 4), workers, 0.0))


def test_a_source_of_bad_files_alone_is_an_error(tmp_path, monkeypatch):
    write_shard(tmp_path / "0.tar", {"0.png": DAMAGED})
    monkeypatch.setattr(streamed_set, "MAX_ATTEMPTS", 5)
    with pytest.raises(
        OSError, match=r"none of 5 training files in a row can be read:\n .*0\.tar!0\.png"
    ):
        list(TrainingLoader(stream(tmp_path), BatchPositions(1, 0, 1), 0))
    dataset = stream(tmp_path)
    (tmp_path / "0.tar").unlink()
    with pytest.raises(OSError, match=r"none of the 1 shard.* readable image or video\n .*0\.tar"):
        list(TrainingLoader(dataset, BatchPositions(1, 0, 1), 0))


def test_a_reader_finds_the_only_shard_with_clips(grays, pairs):
    shards = (*list_shards(str(grays))[0], str(pairs / "0.tar"))
    for reader in range(3):
        files = ShardFiles(
            ShardPool(shards, "video"), "key", reader=reader, num_readers=3, buffer=1
        )
        assert next(files).path == f"{pairs}/0.tar!0.video.mp4"


def test_a_share_of_bad_files_is_one_of_the_files_that_were_read():
    named = [BadFile(f"{number}.png", "damaged") for number in range(12)]
    log = BadFileLog(0.01, None)
    log.note(named[:10])
    log.note([], num_good=1100)
    log.note(named[10:11])
    log.note(named[:1], num_good=100)
    with pytest.raises(OSError, match="12 of about 1214 training files"):
        log.note([*named[:1], named[11]])
    counted = BadFileLog(11.0, None)
    counted.note(named[:11])
    with pytest.raises(OSError, match=r"data\.max_bad=11 accepts 11"):
        counted.note(named[11:])


def test_streamed_videos_are_not_kept(pairs):
    sample._cached_index.cache_clear()
    dataset = stream(pairs, frames=3)
    next(iter(TrainingLoader(dataset, BatchPositions(2, 0, 1), 0)))
    assert sample._cached_index.cache_info().currsize == 0


def test_crops_are_drawn_by_the_rules_and_the_position(pairs):
    rules = {"frames": 3, "size": 32, "flip": True, "short_side": [40, 64]}
    one, other = (
        torch.cat(list(TrainingLoader(stream(pairs, **rules), BatchPositions(1, 0, 3), workers)))
        for workers in (0, 1)
    )
    assert torch.equal(one, other)
    assert not torch.equal(one[0], one[1])
