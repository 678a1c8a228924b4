"""A tar that is damaged anywhere gives the members before the damage, and a report."""

import io
import logging
import tarfile

import pytest
from PIL import Image

from vistok.data.inspection.inspection import inspect_source
from vistok.data.sources.media import BadFile, MediaFile
from vistok.data.sources.shard_stream import read_shard
from vistok.data.sources.source import list_source
from vistok.data.sources.tar_shard import index_tar

BLOCK = 512
NUM_MEMBERS = 6


def small_image() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def whole() -> bytes:
    buffer, data = io.BytesIO(), small_image()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(NUM_MEMBERS):
            member = tarfile.TarInfo(f"{number}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def with_flipped_bit(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


# Every member takes a block of header and a block of data; member 3 starts at block 6.
DAMAGE = {
    "header": (lambda data: with_flipped_bit(data, 6 * BLOCK + 5), 3, "damaged header at byte"),
    "erased header": (
        lambda data: data[: 6 * BLOCK] + bytes(BLOCK) + data[7 * BLOCK :],
        3,
        "damaged header at byte",
    ),
    "erased member": (
        lambda data: data[: 6 * BLOCK] + bytes(2 * BLOCK) + data[8 * BLOCK :],
        3,
        "followed by other bytes",
    ),
    "cut behind a member": (lambda data: data[: 6 * BLOCK], 3, "ends without the end of a tar"),
    "cut in a header": (lambda data: data[: 6 * BLOCK + 99], 3, "ends without the end of a tar"),
    "cut in the end": (
        lambda data: data[: 12 * BLOCK + BLOCK],
        NUM_MEMBERS,
        "ends without the end of a tar",
    ),
    "cut in a member": (lambda data: data[: 7 * BLOCK + 9], 3, "truncated inside 3.png"),
    "another tar behind": (lambda data: data + data, NUM_MEMBERS, "followed by other bytes"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_behind_good_members_is_reported(name, whole, tmp_path, caplog):
    damage, num_good, reason = DAMAGE[name]
    path = tmp_path / "shard.tar"
    path.write_bytes(damage(whole))
    with caplog.at_level(logging.WARNING):
        listing = list_source(path)
    assert len(listing.files) == num_good
    assert [reason in bad.reason for bad in listing.skipped] == [True]
    assert listing.skipped[0].path == str(path)
    # Training and encoding only list: the log names the tar and the damage for them
    assert str(path) in caplog.text
    assert reason in caplog.text


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_reported_likewise_where_the_tar_is_streamed(name, whole, tmp_path):
    damage, num_good, reason = DAMAGE[name]
    path = tmp_path / "shard.tar"
    path.write_bytes(damage(whole))
    *files, bad = read_shard(str(path))
    assert [type(file) for file in files] == num_good * [MediaFile]
    assert isinstance(bad, BadFile)
    assert (bad.path, reason in bad.reason) == (str(path), True)


def header_of_size(kind: bytes, size: bytes) -> bytes:
    """A header with a size in base 256, which may be negative or above what memory holds."""
    member = tarfile.TarInfo("x.png")
    header = bytearray(member.tobuf())
    header[124:136], header[156:157] = size, kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


MINUS_ONE, BACKWARDS = b"\xff" * 12, b"\xff" * 10 + b"\xfe\x00"
HUGE, TOO_LARGE = b"\x80" + b"\xff" * 11, b"\x80" + bytes(4) + b"\x7f" * 7


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (tarfile.REGTYPE, MINUS_ONE),
        (tarfile.REGTYPE, BACKWARDS),
        (tarfile.REGTYPE, HUGE),
        (tarfile.GNUTYPE_SPARSE, BACKWARDS),  # `tarfile` reads the same header for ever
        (tarfile.GNUTYPE_LONGNAME, HUGE),
        (tarfile.GNUTYPE_LONGNAME, TOO_LARGE),
        (tarfile.XHDTYPE, HUGE),
        (tarfile.XHDTYPE, TOO_LARGE),
    ],
)
def test_an_impossible_size_costs_what_is_behind_it(kind, size, whole, tmp_path):
    path = tmp_path / "shard.tar"
    path.write_bytes(whole[: 6 * BLOCK] + header_of_size(kind, size) + whole[6 * BLOCK :])
    listing = list_source(path)
    assert len(listing.files) == 3
    assert [bad.path for bad in listing.skipped] == [str(path)]
    assert listing.skipped[0].reason
    *files, bad = read_shard(str(path))
    assert [type(file) for file in files] == 3 * [MediaFile]
    assert isinstance(bad, BadFile)
    assert bad.path == str(path)
    path.write_bytes(header_of_size(kind, size) + whole)
    with pytest.raises(ValueError, match=r"shard\.tar: \w+"):
        list_source(path)
    assert [type(entry) for entry in read_shard(str(path))] == [BadFile]


def test_a_whole_tar_is_not_reported(whole, tmp_path):
    (tmp_path / "padded.tar").write_bytes(whole)
    (tmp_path / "bare.tar").write_bytes(whole[: (2 * NUM_MEMBERS + 2) * BLOCK])
    listing = list_source(tmp_path)
    assert (len(listing.files), listing.skipped) == (2 * NUM_MEMBERS, ())


def test_no_flipped_bit_of_a_header_loses_members_silently(whole, tmp_path):
    path = tmp_path / "shard.tar"
    members = [member.span for member, _ in index_tar_of(whole, path).members]
    for offset in range(6 * BLOCK, 7 * BLOCK, 7):
        index = index_tar_of(with_flipped_bit(whole, offset), path)
        assert [member.span for member, _ in index.members] == members or index.damage
        streamed = list(read_shard(str(path)))
        good = [entry for entry in streamed if isinstance(entry, MediaFile)]
        assert len(good) == len(members) or isinstance(streamed[-1], BadFile)


def test_headers_nested_too_deeply_are_damage(whole, tmp_path):
    """`tarfile` reads a header behind one of a long name by calling itself."""
    header = tarfile.TarInfo("././@LongLink")
    header.type = tarfile.GNUTYPE_LONGNAME
    path = tmp_path / "shard.tar"
    path.write_bytes(whole[: 6 * BLOCK] + 2000 * header.tobuf() + whole[6 * BLOCK :])
    listing = list_source(path)
    assert len(listing.files) == 3
    assert "recursion" in listing.skipped[0].reason
    *files, bad = read_shard(str(path))
    assert [type(file) for file in files] == 3 * [MediaFile]
    assert isinstance(bad, BadFile)


def index_tar_of(data: bytes, path):
    path.write_bytes(data)
    return index_tar(str(path))


def test_inspect_names_a_damaged_tar(whole, tmp_path):
    (tmp_path / "shard.tar").write_bytes(with_flipped_bit(whole, 6 * BLOCK + 5))
    found, reports = inspect_source(tmp_path / "shard.tar")
    assert len(reports) == found.num_images == 3
    assert ["damaged header" in bad.reason for bad in found.skipped] == [True]
