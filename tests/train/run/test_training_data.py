"""The batches of a run: the same as ever without rows, and by the rows where there are some."""

import hashlib
import shutil
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from runs import tiny_run
from vistok.component import validate
from vistok.data.sources.bundled import SAMPLES
from vistok.data.training.order import SampleIndex
from vistok.data.training.training_set import TrainingSet
from vistok.train.config.data import Data
from vistok.train.config.run_config import RunConfig
from vistok.train.config.training import Train
from vistok.train.loop import train
from vistok.train.run.training_data import TrainingData, open_training_data

PLAIN = {"source": "samples:train", "size": 32}
MIXED = {
    "source": [{"source": "samples:images", "weight": 3}, {"source": "samples:all", "weight": 1}],
    "size": 16, "frames": 3, "short_side": 24, "image_ratio": 0.4,
    "buckets": [[16, 24], [24, 16], [32, 48]],
}  # fmt: skip
ROWS = {
    "source": "samples:all", "frames": 5, "size": 16,
    "buckets": [
        {"share": 2, "batch_size": 2},
        {"frames": 9, "size": 24, "batch_size": 1},
        {"frames": 1, "size": [[32, 48], [48, 32]]},
    ],
}  # fmt: skip


def open_data(options: dict, rank: int = 0, world: int = 1, workers: int = 0, **train):
    train = {"steps": 10**6, "batch_size": 3, "seed": 5, **train}
    data = Data.model_validate({**options, "workers": workers})
    return open_training_data(data, Train.model_validate(train), rank, world)


def positions(data: TrainingData, start_step: int, count: int) -> list[list[SampleIndex]]:
    return list(data.batches(start_step, count)._positions)


def digest(data: TrainingData, start_step: int) -> str:
    """Hash group, position and file name of all samples of 400 micro-batches."""
    lines = []
    assert isinstance(data.dataset, TrainingSet)
    for batch in positions(data, start_step, 400):
        for index in batch:
            pool, file = data.dataset.pool_at(index)
            lines.append(f"{index.group} {index.position} {Path(pool[file].path).name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


# Recorded at 90ea6f7, before there were rows.
@pytest.mark.parametrize(
    ("options", "accumulation", "rank", "world", "start", "recorded"),
    [
        (PLAIN, 1, 0, 1, 0, "09f9abb490f5f12e"),
        (PLAIN, 2, 1, 3, 7, "572baf9ca792d7c2"),
        (PLAIN, 2, 0, 2, 20_000, "7fb615eea4e72fa7"),
        (MIXED, 1, 0, 1, 0, "9044f7214072bdba"),
        (MIXED, 2, 1, 3, 7, "6f45adb96b40dc9e"),
        (MIXED, 2, 0, 2, 20_000, "be23750b5d254eb8"),
    ],
)
def test_one_batch_size_draws_the_batches_it_always_drew(
    options, accumulation, rank, world, start, recorded
):
    data = open_data(options, rank, world, accumulation_steps=accumulation)
    assert digest(data, start) == recorded


def test_one_batch_size_gives_the_pixels_it_always_gave(tmp_path):
    """Losslessly stored noise, cropped without scaling: no decoder has a say in it."""
    generator = torch.Generator().manual_seed(0)
    for i in range(7):
        noise = torch.randint(0, 256, (12 + i, 20 - i, 3), dtype=torch.uint8, generator=generator)
        Image.fromarray(noise.numpy()).save(tmp_path / f"{i}.png")
    options = {"source": str(tmp_path), "size": 8, "buckets": [[8, 8], [12, 12]]}
    data = open_data(options, 1, 2, steps=100, batch_size=2, accumulation_steps=2, seed=1)
    stored = b"".join(clips.numpy().tobytes() for clips in data.batches(3, 20))
    assert hashlib.sha256(stored).hexdigest()[:16] == "9202beae0cbf381a"


def test_a_batch_has_the_length_and_size_of_its_row_and_as_many_samples():
    data = open_data(ROWS)
    seen = {tuple(clips.shape) for clips in data.batches(num_batches=24)}
    assert seen == {(2, 3, 5, 16, 16), (1, 3, 9, 24, 24), (3, 3, 1, 32, 48), (3, 3, 1, 48, 32)}


def test_rows_are_taken_by_their_shares_of_the_steps():
    data = open_data(ROWS)
    rows = Counter(data.dataset.groups[batch[0].group].frames for batch in positions(data, 0, 4000))
    # 4 standard deviations of a share among 4000 steps are below 0.032
    for frames, share in ((5, 0.5), (9, 0.25), (1, 0.25)):
        assert rows[frames] / 4000 == pytest.approx(share, abs=0.032)


def test_micro_batches_of_a_step_are_of_one_row():
    data = open_data(ROWS, accumulation_steps=3)
    groups = [batch[0].group for batch in positions(data, 10, 60)]
    steps = [groups[start : start + 3] for start in range(0, 60, 3)]
    assert all(len(set(step)) == 1 for step in steps)
    assert len({step[0] for step in steps}) > 1


@pytest.mark.parametrize("kill", [1, 4])
def test_rows_resume_at_any_step_with_any_number_of_workers(kill):
    whole = list(open_data(ROWS, accumulation_steps=2).batches(0, 16))
    parts = [
        *open_data(ROWS, accumulation_steps=2).batches(0, 2 * kill),
        *open_data(ROWS, accumulation_steps=2, workers=2).batches(kill, 16 - 2 * kill),
    ]
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_two_ranks_take_the_halves_of_the_batches_of_one():
    halves = [positions(open_data(ROWS, rank, 2, batch_size=4), 3, 50) for rank in (0, 1)]
    rows = [{**row, "batch_size": 2 * row.get("batch_size", 4)} for row in ROWS["buckets"]]
    alone = positions(open_data({**ROWS, "buckets": rows}), 3, 50)
    assert [a + b for a, b in zip(*halves, strict=True)] == alone


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("samples:images", r"data\.buckets has clips of 5 frames, .* contains only images"),
        ("samples:videos", r"data\.buckets has a row of images .* contains only videos"),
    ],
)
def test_a_row_whose_kind_the_source_lacks_is_an_error(source, message):
    with pytest.raises(ValueError, match=message):
        open_data({**ROWS, "source": source})


def test_rows_of_clips_alone_leave_images_out_and_report_it(caplog):
    data = open_data({**ROWS, "buckets": ROWS["buckets"][:2]})
    assert isinstance(data.dataset, TrainingSet)
    assert {file.kind for file in data.dataset.files} == {"video"}
    assert "left out: the rows of data.buckets take videos" in caplog.text


def test_as_many_batches_as_hold_a_number_of_samples():
    data = open_data(ROWS, rank=1, world=2)
    sizes = [2 * len(batch) for batch in positions(data, 0, 100)]
    for wanted in (1, 7, 50):
        count = data.batches_with(wanted)
        assert sum(sizes[:count]) >= wanted > sum(sizes[: count - 1])
    assert open_data(PLAIN, world=2).batches_with(13) == 3


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> str:
    """Two shards, each with half of the bundled images and clips."""
    folder = tmp_path_factory.mktemp("shards")
    for number in range(2):
        with tarfile.open(folder / f"{number}.tar", "w") as tar:
            for path in [*SAMPLES.glob("images/*.jpg"), *SAMPLES.glob("videos/*.mp4")][number::2]:
                tar.add(path, path.name)
    return f"{folder}/{{0..1}}.tar"


def test_streamed_batches_have_the_shapes_and_steps_of_indexed_ones(shards):
    rows = [*ROWS["buckets"][:2], {"frames": 1, "size": [32, 48]}]
    options = {**ROWS, "buckets": rows, "source": shards, "shuffle_buffer": 4}
    train = {"accumulation_steps": 2, "batch_size": 3}
    streamed = open_data({**options, "shuffle": "stream"}, workers=2, **train)
    indexed = open_data({**ROWS, "buckets": rows, "source": shards}, **train)
    ours, theirs = (list(data.batches(num_batches=12)) for data in (streamed, indexed))
    assert [clips.shape for clips in ours] == [clips.shape for clips in theirs]
    assert positions(streamed, 3, 50) == positions(indexed, 3, 50)
    assert streamed.batches_with(20) == indexed.batches_with(20)


def test_a_stream_reports_at_resume_that_its_order_is_another(shards, caplog):
    data = open_data({**PLAIN, "source": shards, "shuffle": "stream", "shuffle_buffer": 4})
    whole = torch.cat(list(data.batches(0, 6)))
    assert "resume" not in caplog.text
    resumed, again = (torch.cat(list(data.batches(4, 2))) for _ in range(2))
    assert "data.shuffle=stream does not resume exactly: from step 4 on a new pass" in caplog.text
    assert torch.equal(resumed, again)
    assert not torch.equal(whole[-len(resumed) :], resumed)


def test_fewer_shards_than_reading_processes_are_reported(shards, caplog):
    options = {**PLAIN, "source": shards, "shuffle": "stream", "shuffle_buffer": 4}
    open_data(options, world=2, workers=1)
    assert "reading processes" not in caplog.text
    data = open_data(options, world=2, workers=2)
    assert "has 2 shard(s) for 4 reading processes (ranks x data.workers)" in caplog.text
    assert len(list(data.batches(0, 3))) == 3


def test_files_beside_shards_are_reported(shards, tmp_path, caplog):
    shutil.copy(shards.replace("{0..1}", "0"), tmp_path)
    (tmp_path / "readme.md").write_text("no shard")
    open_data({**PLAIN, "source": str(tmp_path), "shuffle": "stream"})
    assert f"1 file(s) of {tmp_path} are not tar shards" in caplog.text


def test_a_run_trains_and_resumes_on_streamed_shards(shards, tmp_path, caplog):
    tree = tiny_run().to_tree()
    data = {"source": shards, "shuffle": "stream", "shuffle_buffer": 4, "workers": 1, "size": 32}
    tree |= {"data": data, "eval": {"source": None}}
    for steps in (2, 4):
        tree["train"] |= {"steps": steps}
        result = train(validate(RunConfig, tree), tmp_path / "run", "cpu", show_progress=False)
        assert result.step == steps
    assert "from step 2 on a new pass over the shards begins" in caplog.text
    assert (tmp_path / "run" / "samples" / "step-00000003.png").is_file()
