"""Shards that are streamed give the members and the damage that the index of a tar finds."""

import gzip
import importlib
import io
import pickle
import subprocess
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from ranged_server import serve
from vistok.data.codecs.image import read_image
from vistok.data.codecs.video import read_clip
from vistok.data.sources import shard_stream
from vistok.data.sources.bundled import SAMPLES
from vistok.data.sources.media import BadFile, MediaFile
from vistok.data.sources.shard_stream import list_shards, media_kinds, read_shard
from vistok.data.sources.source import list_source

IMAGE = (SAMPLES / "images" / "kodim01.jpg").read_bytes()
CLIP = (SAMPLES / "videos" / "iss_astronaut_0.mp4").read_bytes()


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def shard(tmp_path):
    """Images and clips in samples, with fields, hidden and foreign members, and a link."""
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        add(tar, "a/0.image.jpg", IMAGE)
        add(tar, "a/0.video.mp4", CLIP)
        add(tar, "a/0.json", b'{"caption": "sky"}')
        add(tar, "a/0.txt", b"P1 is how a bitmap starts")
        add(tar, "a/.hidden.jpg", IMAGE)
        add(tar, "a/1.npy", bytes(100))
        link = tarfile.TarInfo("a/2.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        add(tar, "a/" + 40 * "long/" + "3.jpg", IMAGE)
    return tmp_path / "shard.tar"


def files_of(shard: str) -> list[MediaFile]:
    entries = list(read_shard(shard))
    assert [entry for entry in entries if isinstance(entry, BadFile)] == []
    return [entry for entry in entries if isinstance(entry, MediaFile)]


def check_same_files(shard: str) -> None:
    streamed, indexed = files_of(shard), list_source(shard).files
    assert [(f.path, f.kind, f.animated) for f in streamed] == [
        (f.path, f.kind, f.animated) for f in indexed
    ]
    for ours, theirs in zip(streamed, indexed, strict=True):
        with ours.location.open() as one, theirs.location.open() as other:
            assert one.read() == other.read()


def test_streamed_members_are_those_of_the_index(shard):
    check_same_files(str(shard))
    with serve(shard.parent) as url:
        check_same_files(f"{url}/shard.tar")
    image, clip, _ = files_of(str(shard))
    streamed, stored = read_image(image.location), read_image(io_location(IMAGE))
    assert np.array_equal(np.asarray(streamed), np.asarray(stored))
    assert read_clip(clip.location, 3).shape[1] == 3
    assert pickle.loads(pickle.dumps(image)) == image
    assert image.location.fingerprint() == str(len(IMAGE))
    assert image.location.fields() == {}


def io_location(data: bytes) -> shard_stream.StreamedMember:
    return shard_stream.StreamedMember("x.tar", "x.jpg", data)


def test_a_server_without_range_requests_is_enough(shard):
    class Plain(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = partial(Plain, directory=str(shard.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        assert len(files_of(f"http://127.0.0.1:{server.server_address[1]}/shard.tar")) == 3
        server.shutdown()


def test_a_shard_that_is_missing_or_compressed_is_one_bad_file(shard, tmp_path):
    (tmp_path / "packed.tar").write_bytes(gzip.compress(shard.read_bytes()))
    for name in ("missing.tar", "packed.tar"):
        (bad,) = read_shard(str(tmp_path / name))
        assert isinstance(bad, BadFile)
        assert bad.path.endswith(name)
    with serve(tmp_path) as url:
        (bad,) = read_shard(f"{url}/missing.tar")
        assert isinstance(bad, BadFile)
        assert (bad.path, "404" in bad.reason) == (f"{url}/missing.tar", True)


def test_a_sparse_member_of_any_size_takes_no_memory(tmp_path):
    member = tarfile.TarInfo("huge.jpg")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf())
    header[483:495] = b"%011o\0" % (2**33 - 1)  # real size: 8 GiB
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "shard.tar").write_bytes(bytes(header) + bytes(1024))
    with tarfile.open(tmp_path / "shard.tar") as tar:
        assert [(m.size, m.issparse()) for m in tar] == [(2**33 - 1, True)]
    assert list(read_shard(str(tmp_path / "shard.tar"))) == []


def test_a_member_above_the_limit_is_passed_over(tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for name, data in (("0.jpg", IMAGE), ("1.jpg", bytes(2**20 + 1)), ("2.jpg", IMAGE)):
            add(tar, name, data)
    monkeypatch.setattr(shard_stream, "MAX_MEMBER_BYTES", 2**20)
    first, bad, last = read_shard(str(tmp_path / "shard.tar"))
    assert isinstance(first, MediaFile)
    assert isinstance(last, MediaFile)
    assert isinstance(bad, BadFile)
    assert bad.path == f"{tmp_path}/shard.tar!1.jpg"
    assert "maximum of streamed members" in bad.reason


def test_a_member_without_a_printable_name_is_one_bad_file(tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        add(tar, "caf\udce9.jpg", IMAGE)
        add(tar, "cafe.jpg", IMAGE)
    bad, good = read_shard(str(tmp_path / "shard.tar"))
    assert isinstance(bad, BadFile)
    assert isinstance(good, MediaFile)
    assert bad == list_source(tmp_path / "shard.tar").skipped[0]


def test_shards_are_listed_without_being_opened(tmp_path):
    for name in ("shard-0.tar", "shard-1.tar", "readme.md"):
        (tmp_path / name).write_bytes(b"not opened")
    (tmp_path / "shards.txt").write_text("shard-1.tar\nhttps://nowhere.invalid/s.TAR?token=1\n")
    for source in (tmp_path, tmp_path / "shard-{0..1}.tar", tmp_path / "*.tar"):
        shards, others = list_shards(str(source))
        assert [shard[-11:] for shard in shards] == ["shard-0.tar", "shard-1.tar"]
        assert [bad.path[-9:] for bad in others] == (
            ["readme.md"] if source == tmp_path else []
        ) + (["hards.txt"] if source == tmp_path else [])
    listed, _ = list_shards(str(tmp_path / "shards.txt"))
    assert listed == (f"{tmp_path}/shard-1.tar", "https://nowhere.invalid/s.TAR?token=1")
    remote, _ = list_shards("https://nowhere.invalid/shard-{0000..1999}.tar")
    assert (len(remote), remote[-1]) == (2000, "https://nowhere.invalid/shard-1999.tar")
    with pytest.raises(ValueError, match=r"names no tar shard .* data\.shuffle=exact"):
        list_shards(str(tmp_path / "readme.md"))


def test_no_name_of_a_shard_runs_a_command(shard, tmp_path, monkeypatch):
    """webdataset would run what follows `pipe:`, and curl for URLs."""

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a command was run")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr("os.system", refuse)
    monkeypatch.setattr(importlib.import_module("webdataset.gopen"), "gopen", refuse)
    monkeypatch.setenv("GOPEN_REWRITE", f"{tmp_path}=pipe:touch {tmp_path}/owned; cat {tmp_path}")
    command = f"pipe:touch {tmp_path}/owned; cat {shard}"
    (tmp_path / "list.txt").write_text(f"{command}\n")
    for source in (command, f"PIPE:{command[5:]}", f"{command} http://x/{{0..1}}.tar"):
        with pytest.raises(ValueError, match="is a command, and no source runs commands"):
            list_shards(source)
    with pytest.raises(ValueError, match="is a command, and no source runs commands"):
        list_shards(str(tmp_path / "list.txt"))
    (bad,) = read_shard(command)
    assert isinstance(bad, BadFile)
    assert len(files_of(str(shard))) == 3
    with serve(tmp_path) as url:
        assert len(files_of(f"{url}/shard.tar")) == 3
    assert not (tmp_path / "owned").exists()


def test_kinds_are_those_of_the_first_shard_with_media(shard, tmp_path):
    (tmp_path / "empty.tar").write_bytes(bytes(1024))
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        add(tar, "0.jpg", IMAGE)
    images, empty, missing = (str(tmp_path / f"{n}.tar") for n in ("images", "empty", "missing"))
    assert media_kinds("s", [missing, empty, str(shard)]) == {"image", "video"}
    assert media_kinds("s", [images, str(shard)]) == {"image"}
    with pytest.raises(ValueError, match=r"no image or video in its first 3 shard(.|\n)*missing"):
        media_kinds("s", [missing, empty, empty, images])
