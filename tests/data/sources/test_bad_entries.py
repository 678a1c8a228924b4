"""One bad entry costs one entry: it is listed with its reason, and the rest is read."""

import json
import os
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ranged_server import serve
from vistok.data.codecs.image import read_image
from vistok.data.sources.bundled import SAMPLES
from vistok.data.sources.media import bad_file
from vistok.data.sources.source import Listing, list_source

IMAGE = SAMPLES / "images" / "kodim01.jpg"
OTHER = SAMPLES / "images" / "kodim03.jpg"


def assert_one_bad(listing: Listing, num_good: int, reason: str) -> None:
    assert len(listing.files) == num_good
    for file in listing.files:
        read_image(file.location)
        file.key.encode()
    assert [reason in bad.reason for bad in listing.skipped] == [True], listing.skipped
    (listing.skipped[0].path + listing.skipped[0].reason).encode()


# ---- lists ---------------------------------------------------------------------------------------

BAD_LINES = {
    "unknown protocol": ("nosuch://x/y.png", "Protocol not known"),
    "NUL": ("a\0b.png", "null byte"),
    "overlong name": ("a" * 5000, "File name too long"),
    "folder": ("/tmp", "not a regular file"),
    "device": ("/dev/zero", "not a regular file"),
}


@pytest.mark.parametrize("name", BAD_LINES)
@pytest.mark.parametrize("first", [True, False])
def test_a_bad_line_of_a_list_costs_one_file(name, first, tmp_path):
    line, reason = BAD_LINES[name]
    lines = [line, str(IMAGE), str(OTHER)] if first else [str(IMAGE), str(OTHER), line]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    assert_one_bad(list_source(tmp_path / "list.txt"), 2, reason)


def test_a_fifo_in_a_list_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "list.txt").write_text(f"pipe.png\n{IMAGE}\n")
    # A writer lets a reader that opens the FIFO finish with an error instead of a hang
    writer = os.open(tmp_path / "pipe.png", os.O_RDWR | os.O_NONBLOCK)
    os.write(writer, bytes(4096))
    assert_one_bad(list_source(tmp_path / "list.txt"), 1, "not a regular file")
    os.close(writer)


def test_a_line_that_is_not_utf8_costs_one_file(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.png\n" + str(IMAGE).encode())
    listing = list_source(tmp_path / "list.txt")
    assert_one_bad(listing, 1, "not valid UTF-8")
    assert listing.skipped[0].path.endswith(r"caf\udce9.png")


def test_a_file_whose_name_is_not_utf8_is_left_out_with_its_name(tmp_path):
    (tmp_path / "good.jpg").write_bytes(IMAGE.read_bytes())
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).write_bytes(OTHER.read_bytes())
    listing = list_source(tmp_path)
    assert_one_bad(listing, 1, "not valid UTF-8; rename the file")
    assert listing.skipped[0].path.endswith(r"caf\udce9.jpg")


BAD_ROWS = {
    "field beyond the limit": ('"' + "x" * 200_000 + '",caption', "field larger than field limit"),
    "unclosed quote": ('"broken.png,caption', "unexpected end of data"),
    "no path": (",caption", "no path; one column must be named path"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_of_a_table_costs_one_file(name, tmp_path):
    row, reason = BAD_ROWS[name]
    text = f"path,caption\n{IMAGE},one\n{row}\n{OTHER},three\n"
    (tmp_path / "list.csv").write_text(text)
    listing = list_source(tmp_path / "list.csv")
    assert_one_bad(listing, 2, reason)
    assert listing.skipped[0].path.endswith("list.csv:3")
    assert [file.fields()["caption"] for file in listing.files] == ["one", "three"]


def test_a_quoted_field_of_several_lines_is_read(tmp_path):
    (tmp_path / "list.csv").write_text(f'path,caption\n{IMAGE},"one\n""two"""\n{OTHER},x\n')
    listing = list_source(tmp_path / "list.csv")
    assert [file.fields()["caption"] for file in listing.files] == ['one\n"two"', "x"]


BAD_OBJECTS = {
    "nested too deep": ('{"path": ' + "[" * 100_000 + "]" * 100_000 + "}", "not valid JSON"),
    "number too long": ('{"path": "a", "n": ' + "1" * 5000 + "}", "not valid JSON"),
    "no object": ("[1]", "must be a JSON object"),
    "path is half a character": (r'{"path": "\ud800.png"}', "not valid UTF-8"),
}


@pytest.mark.parametrize("name", BAD_OBJECTS)
def test_a_bad_line_of_json_costs_one_file(name, tmp_path):
    line, reason = BAD_OBJECTS[name]
    good = [json.dumps({"path": str(path), "text": "\u2028"}) for path in (IMAGE, OTHER)]
    (tmp_path / "list.jsonl").write_text("\n".join([good[0], line, good[1]]))
    assert_one_bad(list_source(tmp_path / "list.jsonl"), 2, reason)


@pytest.mark.parametrize("text", [f"{IMAGE}\n", f"{IMAGE},x\n{OTHER},y\n"])
def test_a_table_without_a_header_says_so(text, tmp_path):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ValueError, match="the first line must be a header with a column named"):
        list_source(tmp_path / "list.csv")
    (tmp_path / "good.csv").write_text(f"path\n{IMAGE}\n")
    both = list_source(f"{tmp_path}/{{list,good}}.csv")
    assert_one_bad(both, 1, "the first line must be a header")


# ---- URLs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("prefix", ["", "simplecache::", "filecache::"])
def test_a_list_may_name_several_file_systems(order, prefix, tmp_path):
    (tmp_path / "web.jpg").write_bytes(IMAGE.read_bytes())
    memory = fsspec.filesystem("memory")
    memory.pipe("/bad_entries/x.jpg", OTHER.read_bytes())
    # The missing file fails while the good one is still being downloaded.
    with serve(tmp_path, pause=0.1) as url:
        names = [
            f"{prefix}{url}/web.jpg",
            f"{prefix}{url}/missing.jpg",
            f"file://{OTHER}",
            "memory://bad_entries/x.jpg",
            str(IMAGE),
        ]
        (tmp_path / "list.txt").write_text("\n".join(names[::order]))
        listing = list_source(tmp_path / "list.txt")
        assert_one_bad(listing, 4, "missing.jpg")
    memory.rm("/bad_entries", recursive=True)


def test_templates_of_a_reference_url_run_no_code(tmp_path):
    """fsspec 2026.4 makes the folder; 2026.6 renders templates in a sandbox."""
    marker = tmp_path / "owned"
    code = f"{{{{ cycler.__init__.__globals__.os.mkdir('{marker}') }}}}"
    made = {"key": code + "{{i}}.png", "url": "file:///x", "dimensions": {"i": [0]}}
    (tmp_path / "evil.json").write_text(json.dumps({"version": 1, "refs": {}, "gen": [made]}))
    names = [f"reference://x.png::file://{tmp_path}/evil.json", str(IMAGE)]
    (tmp_path / "list.txt").write_text("\n".join(names))
    assert_one_bad(list_source(tmp_path / "list.txt"), 1, "x.png")
    assert not marker.exists()


# ---- Parquet -------------------------------------------------------------------------------------

DATA = IMAGE.read_bytes()
FIRST_CELLS = {"junk": b"junk", "empty": b"", "truncated": b"\x89PNG\r", "null": None}


@pytest.mark.parametrize("name", FIRST_CELLS)
@pytest.mark.parametrize("struct", [False, True])
def test_a_bad_first_cell_of_a_table_costs_one_row(name, struct, tmp_path):
    cells = [FIRST_CELLS[name], DATA, DATA]
    column = [{"bytes": cell, "path": None} for cell in cells] if struct else cells
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()}) if struct else pa.binary()
    table = pa.table({"image": pa.array(column, kind)})
    pq.write_table(table, tmp_path / "table.parquet", row_group_size=1)
    files = list_source(tmp_path / "table.parquet").files
    bad = []
    for file in files:
        try:
            assert read_image(file.location).size == (384, 256)
        except OSError as error:
            bad.append(bad_file(file.path, error))
    assert [file.path.rpartition("!")[2] for file in files] == ["0", "1", "2"]
    assert [entry.path for entry in bad] == [files[0].path]


def test_a_struct_whose_bytes_are_text_is_no_column_of_images(tmp_path):
    table = pa.table({"image": [{"bytes": "text", "path": "x"}]})
    pq.write_table(table, tmp_path / "table.parquet")
    (tmp_path / "good.jpg").write_bytes(DATA)
    assert_one_bad(list_source(tmp_path), 1, "no column of bytes")


def test_a_damaged_page_costs_the_rows_of_its_group(tmp_path):
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"image": [DATA, DATA]}), path, row_group_size=1, compression="zstd")
    data = bytearray(path.read_bytes())
    data[4:300] = bytes(296)
    path.write_bytes(data)
    first, second = list_source(path).files
    assert read_image(second.location).size == (384, 256)
    with pytest.raises((OSError, ValueError), match=r"table\.parquet"):
        read_image(first.location)


# ---- limits --------------------------------------------------------------------------------------


def test_a_table_of_nulls_is_counted_before_its_cells_are_made(tmp_path):
    table = pa.table({"image": pa.nulls(6_000_000, pa.binary())})
    pq.write_table(table, tmp_path / "nulls.parquet", row_group_size=6_000_000)
    (tmp_path / "good.jpg").write_bytes(DATA)
    assert_one_bad(list_source(tmp_path), 1, "6000000 entries, more than the maximum of 5000000")


def test_a_brace_pattern_is_counted_before_it_is_expanded(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"declares 100000000 entries.*VISTOK_MAX_ENTRIES"):
        list_source(f"{tmp_path}/shard-{{000..99999999}}.tar")
    monkeypatch.setenv("VISTOK_MAX_ENTRIES", "99")
    with pytest.raises(ValueError, match="declares 100 entries, more than the maximum of 99"):
        list_source(f"{tmp_path}/{{0..9}}{{0..9}}.png")
    monkeypatch.setenv("VISTOK_MAX_ENTRIES", "100")
    with pytest.raises(FileNotFoundError):
        list_source(f"{tmp_path}/{{0..9}}{{0..9}}.png")
    monkeypatch.setenv("VISTOK_MAX_ENTRIES", "many")
    with pytest.raises(ValueError, match="VISTOK_MAX_ENTRIES must be a number"):
        list_source(f"{tmp_path}/{{0..9}}.png")


@pytest.mark.parametrize("source", ["", "  "])
def test_an_empty_source_is_refused(source):
    with pytest.raises(ValueError, match="the source is empty"):
        list_source(source)


def test_keys_are_unique_after_all_suffixes(tmp_path):
    for name in ("x.jpg", "x_jpg~2.jpg"):
        (tmp_path / name).write_bytes(DATA)
    lines = ["x.jpg", "x.jpg", "x_jpg~2.jpg", "x.jpg"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    keys = [file.key for file in list_source(tmp_path / "list.txt").files]
    assert keys == ["x_jpg", "x_jpg~3", "x_jpg~2", "x_jpg~4"]
