"""Lists, tars, tables and URLs give the same pictures as the files they were made of."""

import csv
import io
import json
import pickle
import shutil
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ranged_server import serve
from video_frames import count_frames
from vistok.data.codecs.image import read_image
from vistok.data.codecs.video import read_clip
from vistok.data.sources.bundled import SAMPLES
from vistok.data.sources.parquet_table import MAX_GROUP_BYTES
from vistok.data.sources.source import list_source
from vistok.data.sources.tar_shard import TarMember
from vistok.data.training.crop import CropRules
from vistok.data.training.groups import WeightedFiles
from vistok.data.training.loader import TrainingLoader
from vistok.data.training.order import BatchPositions, SampleIndex
from vistok.data.training.training_set import TrainingSet

IMAGES = sorted((SAMPLES / "images").glob("*.jpg"))[:4]
CLIP = SAMPLES / "videos" / "iss_astronaut_0.mp4"


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def write_tar(path: Path, images=IMAGES) -> None:
    with tarfile.open(path, "w") as tar:
        for number, image in enumerate(images):
            add(tar, f"{number:04}.jpg", image.read_bytes())
            add(tar, f"{number:04}.json", json.dumps({"caption": image.stem}).encode())
            add(tar, f"{number:04}.cls", str(number).encode())
        add(tar, "clip.mp4", CLIP.read_bytes())


def write_parquet(path: Path, struct: bool, rows_per_group: int = 3) -> None:
    cells = [image.read_bytes() for image in IMAGES]
    column = [{"bytes": cell, "path": None} for cell in cells] if struct else cells
    table = pa.table({"image": column, "label": list(range(len(cells)))})
    pq.write_table(table, path, row_group_size=rows_per_group)


def write_list(path: Path) -> None:
    """Paths relative to the list, with a caption beside each where the format has columns."""
    rows = [{"file_name": image.name, "caption": image.stem} for image in IMAGES]
    for image in IMAGES:
        shutil.copy(image, path.parent / image.name)
    with path.open("w", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        elif path.suffix == ".txt":
            file.writelines(row["file_name"] + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)


# Name of the source inside the folder that it is written to, and how it is written.
SOURCES = {
    "list.txt": write_list,
    "list.csv": write_list,
    "list.tsv": write_list,
    "list.jsonl": write_list,
    "shard.tar": write_tar,
    "bytes.parquet": lambda path: write_parquet(path, struct=False),
    "struct.parquet": lambda path: write_parquet(path, struct=True),
}


def check_laws(location) -> None:
    """What every location promises."""
    with location.open() as one, location.open() as other:
        data = one.read()
        assert other.read(10) == data[:10]
        assert one.seek(3) == 3
        assert one.read(5) == data[3:8]
        assert one.seek(0, io.SEEK_END) == len(data)
    copy = pickle.loads(pickle.dumps(location))
    assert copy == location
    assert hash(copy) == hash(location)
    assert (str(copy), copy.fingerprint()) == (str(location), location.fingerprint())
    with copy.open() as again:
        assert again.read() == data


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("place", ["local", "memory", "http"])
def test_every_source_gives_the_same_pictures(name, place, tmp_path):
    SOURCES[name](tmp_path / name)
    if place == "memory":
        memory = fsspec.filesystem("memory")
        memory.put(str(tmp_path), "/given", recursive=True)
        check_source(f"memory://given/{name}")
        memory.rm("/given", recursive=True)
    elif place == "http":
        with serve(tmp_path) as url:
            check_source(f"{url}/{name}")
    else:
        check_source(str(tmp_path / name))


def check_source(source: str) -> None:
    files = list_source(source).of_kind("image")
    assert len({file.key for file in files}) == len(IMAGES)
    for file, image in zip(files, IMAGES, strict=True):
        assert np.array_equal(np.asarray(read_image(file.location)), np.asarray(read_image(image)))
        check_laws(file.location)
        fields = file.fields()
        if source.endswith((".csv", ".tsv", ".jsonl", ".tar")):
            assert fields["caption"] == image.stem
        if source.endswith(".parquet"):
            assert fields == {"label": files.index(file)}
    again = list_source(source).of_kind("image")
    assert [(f.key, f.path) for f in files] == [(f.key, f.path) for f in again]


def test_shards_are_named_by_braces_folders_and_globs(tmp_path):
    for number in range(3):
        write_tar(tmp_path / f"shard-{number:03}.tar")
    members = [*(f"{number:04}" for number in range(len(IMAGES))), "clip"]
    expected = [f"shard-{number:03}/{name}" for number in range(3) for name in members]
    for source in ("shard-{000..002}.tar", "shard-*.tar", ""):
        assert [file.key for file in list_source(tmp_path / source).files] == expected
    assert len(list_source(f"{tmp_path}/shard-{{000,002}}.tar").files) == 10
    with serve(tmp_path) as url:
        assert [f.key for f in list_source(url + "/shard-{000..002}.tar").files] == expected
        assert [f.key for f in list_source(url + "/").files] == expected
    with pytest.raises(FileNotFoundError, match=r"shard-003\.tar' does not exist"):
        list_source(tmp_path / "shard-{002..003}.tar")


def test_a_clip_inside_a_tar_is_read_in_place(tmp_path):
    write_tar(tmp_path / "shard.tar")
    (clip,) = list_source(tmp_path / "shard.tar").of_kind("video")
    assert count_frames(clip.location) == 49
    assert torch.equal(read_clip(clip.location, 3, 20, 2), read_clip(CLIP, 3, 20, 2))
    with serve(tmp_path) as url:
        (clip,) = list_source(f"{url}/shard.tar").of_kind("video")
        assert torch.equal(read_clip(clip.location, 3, 20, 2), read_clip(CLIP, 3, 20, 2))


def test_training_from_tars_is_shuffled_resumable_and_free_of_workers(tmp_path):
    write_tar(tmp_path / "shard.tar")
    with serve(tmp_path) as url:
        local, remote = (
            TrainingSet(
                [WeightedFiles(list_source(s).of_kind("image"))], CropRules(size=32), seed=1
            )
            for s in (tmp_path / "shard.tar", f"{url}/shard.tar")
        )
        samples = [local.pool_at(SampleIndex(position)) for position in range(8)]
        order = [pool[position].key for pool, position in samples]
        assert sorted(order[:4]) == sorted(order[4:]) != order[4:]
        whole = list(TrainingLoader(local, BatchPositions(2, 0, 4), workers=0))
        resumed = list(TrainingLoader(remote, BatchPositions(2, 2, 4), workers=2))
        assert all(torch.equal(a, b) for a, b in zip(whole[2:], resumed, strict=True))


def test_pickles_in_a_tar_are_never_opened(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path / "owned").touch, ()

    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        add(tar, "0.jpg", IMAGES[0].read_bytes())
        for suffix in ("pyd", "pickle", "pth"):
            add(tar, f"0.{suffix}", pickle.dumps(Evil()))
    listing = list_source(tmp_path / "evil.tar")
    assert read_image(listing.files[0].location).size == (256, 256)
    assert listing.files[0].fields() == {}
    assert len(listing.skipped) == 3
    assert not (tmp_path / "owned").exists()


def test_keys_never_lead_out_of_a_folder(tmp_path):
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        for name in ("../../up.jpg", "/root.jpg", "a/./b/../c.jpg"):
            add(tar, name, IMAGES[0].read_bytes())
    keys = [file.key for file in list_source(tmp_path / "evil.tar").files]
    assert keys == ["evil/up", "evil/root", "evil/a/b/c"]


def test_a_tar_that_ends_early_gives_its_whole_members_and_a_report(tmp_path):
    write_tar(tmp_path / "shard.tar")
    data = (tmp_path / "shard.tar").read_bytes()
    (tmp_path / "half.tar").write_bytes(data[:40_000])
    listing = list_source(tmp_path / "half.tar")
    assert 0 < len(listing.files) < 5
    for file in listing.files:
        read_image(file.location)
    assert "truncated inside" in listing.skipped[-1].reason
    (tmp_path / "noise.tar").write_bytes(b"no tar at all" * 1000)
    with pytest.raises(ValueError, match="contains no image or video"):
        list_source(tmp_path / "noise.tar")
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as tar:
        add(tar, "0.jpg", IMAGES[0].read_bytes())
    with pytest.raises(ValueError, match="run gunzip"):
        list_source(tmp_path / "packed.tar.gz")


def test_an_empty_cell_is_one_bad_file(tmp_path):
    table = pa.table({"image": pa.array([None, IMAGES[0].read_bytes()], pa.binary())})
    pq.write_table(table, tmp_path / "holes.parquet")
    hole, whole = list_source(tmp_path / "holes.parquet").files
    assert read_image(whole.location).size == (256, 256)
    with pytest.raises(OSError, match=r"holes\.parquet!0: the cell is empty"):
        read_image(hole.location)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [1]}, r"no column of bytes .*label: int64"),
        ({"a": [b"1"], "b": [b"2"]}, "more than one column of bytes"),
    ],
)
def test_a_table_without_a_clear_column_is_refused(columns, message, tmp_path):
    pq.write_table(pa.table(columns), tmp_path / "table.parquet")
    with pytest.raises(ValueError, match=message):
        list_source(tmp_path / "table.parquet")


def test_a_table_with_row_groups_too_large_for_random_access_is_refused(tmp_path, monkeypatch):
    from vistok.data.sources import parquet_table

    assert MAX_GROUP_BYTES == 512 * 2**20
    monkeypatch.setattr(parquet_table, "MAX_GROUP_BYTES", 10_000)
    write_parquet(tmp_path / "table.parquet", struct=False)
    with pytest.raises(ValueError, match="smaller row groups, for example row_group_size=100"):
        list_source(tmp_path / "table.parquet")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.csv",
            "name,caption\nx,y\n",
            r"a\.csv: the first line must be a header with a column named path",
        ),
        ("a.jsonl", "[1]\n", r"a\.jsonl:1: must be a JSON object"),
        ("a.jsonl", "{\n", r"a\.jsonl:1: not valid JSON"),
    ],
)
def test_a_list_that_cannot_be_read_names_the_line(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        list_source(tmp_path / name)


def test_a_file_listed_twice_has_two_keys(tmp_path):
    (tmp_path / "list.txt").write_text(f"{IMAGES[0]}\n{IMAGES[0]}\n")
    assert len({file.key for file in list_source(tmp_path / "list.txt").files}) == 2


def test_a_server_without_ranges_is_refused_not_misread(tmp_path):
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    write_tar(tmp_path / "shard.tar")
    with serve(tmp_path) as url:
        file = list_source(f"{url}/shard.tar").files[0]
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        assert isinstance(file.location, TarMember)
        moved = TarMember(
            f"http://127.0.0.1:{server.server_address[1]}/shard.tar", file.location.span
        )
        with pytest.raises(OSError, match="does not support range requests"):
            read_image(moved)
        server.shutdown()
