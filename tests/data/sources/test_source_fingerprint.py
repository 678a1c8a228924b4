"""A listing's version changes with every change of its files, and with nothing else."""

import os
import tarfile
from pathlib import Path

import pytest

from vistok.data.sources.bundled import SAMPLES
from vistok.data.sources.source import list_source
from vistok.data.sources.source_fingerprint import source_fingerprint

PICTURES = sorted((SAMPLES / "images").iterdir())[:3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in PICTURES:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def version(source: Path) -> str:
    return source_fingerprint(list_source(source).files)


def test_listing_again_gives_the_same_version(folder):
    assert version(folder) == version(folder)


def test_every_change_gives_another(folder):
    versions = {version(folder)}
    first = min(folder.iterdir())
    os.utime(first, ns=(0, first.stat().st_mtime_ns + 1_000_000))
    versions.add(version(folder))
    first.rename(folder / "zebra.jpg")
    versions.add(version(folder))
    (folder / "zebra.jpg").unlink()
    versions.add(version(folder))
    assert len(versions) == 4


def test_a_tars_members_change_with_the_tar(folder, tmp_path_factory):
    tar = tmp_path_factory.mktemp("tars") / "shard.tar"
    with tarfile.open(tar, "w") as file:
        for path in sorted(folder.iterdir()):
            file.add(path, path.name)
    before = version(tar)
    assert before == version(tar)
    os.utime(tar, ns=(0, tar.stat().st_mtime_ns + 1_000_000))
    assert version(tar) != before


def test_files_of_a_url_have_a_version_too(folder):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/listing/a.jpg", PICTURES[0].read_bytes())
    source = "memory://listing/a.jpg"
    before = source_fingerprint(list_source(source).files)
    memory.pipe("/listing/a.jpg", PICTURES[1].read_bytes())
    assert source_fingerprint(list_source(source).files) != before
    memory.rm("/listing", recursive=True)
