"""Tar mutants: damaged bytes, and hostile headers whose checksums are right."""

import io
import json
import tarfile
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from fuzzing import CASES, check_message, fuzz, run
from mutators import BLOCK, damaged
from vistok.data.sources.media import BadFile, MediaFile
from vistok.data.sources.shard_stream import read_shard
from vistok.data.sources.source import list_source

pytestmark = pytest.mark.slow

NUM_GOOD = 4

NAMES = (
    b"../../evil.jpg", b"/etc/evil.jpg", b"", b".", b"..", b"/", b"a//b.jpg", b"a/./b.jpg",
    b"\xff\xfe.jpg", b"\x00x.jpg", b"x\n.jpg", b"x" * 100, b"0.jpg", b"folder/0.jpg", b".x.jpg",
)  # fmt: skip
SIZES = (
    b"00000000000", b"00000000001", b"77777777777", b"-0000000001", b"xxxxxxxxxxx", b"           ",
    b"\x80" + b"\x00" * 3 + b"\x7f" * 8, b"\xff" * 12, b"\x80" + b"\xff" * 11, b"",
)  # fmt: skip
RECORDS = (
    b"19 path=../evil.jpg\n", b"18 size=9999999999\n", b"11 size=-1\n", b"10 size=x\n", b"x\n",
    b"99999 path=x\n", b"0 a=b\n", b"30 GNU.sparse.map=0,1,5,100\n", b"22 GNU.sparse.major=1\n",
    b"12 path=\xff\xff\n", b"20 hdrcharset=BINARY\n", b"13 linkpath=/\n", b"",
)  # fmt: skip

# Offsets and lengths of the fields of a header.
FIELDS = {"name": (0, 100), "mode": (100, 8), "size": (124, 12), "mtime": (136, 12),
          "type": (156, 1), "link": (157, 100), "magic": (257, 8), "device": (329, 16),
          "prefix": (345, 155)}  # fmt: skip


def member(name: str, data: bytes) -> bytes:
    """One member of a tar: header, data, padding."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info.tobuf() + data + bytes(-len(data) % BLOCK)


def good_members() -> list[bytes]:
    members = []
    for number in range(NUM_GOOD):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8), (number * 60, 0, 0)).save(stream, "JPEG")
        members.append(member(f"folder/{number}.jpg", stream.getvalue()))
        if number % 2:
            members.append(member(f"folder/{number}.json", b'{"a": 1}'))
    return members


def with_field(header: bytes, name: str, value: bytes) -> bytes:
    """A header with another value in a field, and the checksum of the result."""
    start, length = FIELDS[name]
    changed = bytearray(header[:BLOCK])
    changed[start : start + length] = value[:length].ljust(length, b"\0")
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed) + header[BLOCK:]


def hostile_member(draw: Random) -> bytes:
    data = draw.choice((b"", b"\xff\xd8\xff", draw.randbytes(600), draw.choice(RECORDS)))
    entry = member("hostile.jpg", data)
    for _ in range(draw.choice((1, 1, 2))):
        field = draw.choice((*FIELDS, "name", "size", "type"))
        values = {
            "name": NAMES,
            "link": NAMES,
            "prefix": NAMES,
            "size": SIZES,
            "type": [bytes([code]) for code in b"\x000123456789gxXLKSDMNV\xff"],
        }.get(field, (*SIZES, draw.randbytes(8)))
        entry = with_field(entry, field, draw.choice(values))
    return entry


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder for the tar, with a good image beside it."""
    (tmp_path / "media").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "media" / "good.png")
    return tmp_path / "media"


def inspected(folder: Path) -> tuple[int, list[dict]]:
    """The number of images that were read, and what was not."""
    outcome = run("inspect", folder, "--json", "--thumbnails", 0)
    assert outcome.code == 0, outcome
    found = json.loads(outcome.out)
    bad = [*found["bad"], *found["skipped"]]
    for entry in bad:
        assert "x.tar" in entry["path"]
        check_message(entry["reason"], [""])
    return found["num_images"], bad


def check_streamed_likewise(folder: Path) -> None:
    """A tar that is streamed gives the files of its index, and reports damage if that does."""
    tar = str(folder / "x.tar")
    listing = list_source(folder)
    streamed = list(read_shard(tar))
    files = [entry.path for entry in streamed if isinstance(entry, MediaFile)]
    assert files == [file.path for file in listing.files if file.path.startswith(f"{tar}!")]
    indexed = {bad.path for bad in listing.skipped if bad.exception}
    assert {entry.path for entry in streamed if isinstance(entry, BadFile)} == indexed


def test_damaged_tars(folder):
    whole = b"".join(good_members()) + bytes(2 * BLOCK)

    def case(draw: Random) -> None:
        mutant = damaged(whole, draw)
        (folder / "x.tar").write_bytes(mutant)
        num_read, bad = inspected(folder)
        # Members replaced by zeros, to the end, make a tar of fewer members
        is_shorter_tar = whole.startswith(mutant.rstrip(b"\0"))
        assert num_read == 1 + NUM_GOOD or bad or is_shorter_tar, "lost without a word"
        check_streamed_likewise(folder)

    fuzz(case, CASES // 2)


def test_hostile_members(folder):
    def case(draw: Random) -> None:
        members = good_members()
        place = draw.randrange(len(members) + 1)
        num_before = sum(b".jpg" in good[:100] for good in members[:place])
        for _ in range(draw.choice((1, 1, 2))):
            members.insert(place, hostile_member(draw))
        (folder / "x.tar").write_bytes(b"".join(members) + bytes(2 * BLOCK))
        num_read, bad = inspected(folder)
        assert num_read >= 1 + num_before, bad
        for file in list_source(folder).files:
            assert not {"..", ""} & {*file.key.split("/")}, file.key
        check_streamed_likewise(folder)

    fuzz(case, CASES // 2)
