"""A stored job is read whole and undamaged, or refused by the name of the file that is wrong."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stored_jobs import encode_heldout, replace_shard
from vistok.encode.decode import decode_shards
from vistok.encode.records import read_records
from vistok.encode.shard import METADATA_KEY
from vistok.encode.stored_job import read_shards


@pytest.fixture(scope="module")
def finished_job(tmp_path_factory) -> Path:
    """Four images in two shards, which tests copy."""
    return encode_heldout(tmp_path_factory.mktemp("finished") / "job")


@pytest.fixture
def job(finished_job, tmp_path) -> Path:
    return Path(shutil.copytree(finished_job, tmp_path / "job"))


def rows(job: Path) -> list[dict]:
    return [record for shard in read_shards(job) for record in read_records(shard)]


def test_a_damaged_shard_is_named_before_anything_is_decoded(job, tmp_path, image_tokenizer):
    shard = job / "shard-00001.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 1
    shard.write_bytes(content)
    for partial in (False, True):
        with pytest.raises(ValueError, match=r"shard-00001\.parquet is damaged \(its SHA-256"):
            decode_shards(job, image_tokenizer, tmp_path / "out", partial=partial)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "missing",
    [
        ["shard-00000.parquet", "shard-00000.json"],
        ["shard-00001.parquet", "shard-00001.json", "manifest.json"],
        ["shard-00001.json"],
        ["manifest.json"],
        ["plan.json"],
    ],
)
def test_an_incomplete_job_says_what_it_lacks_unless_a_part_will_do(job, missing):
    for name in missing:
        (job / name).unlink()
    with pytest.raises(ValueError, match="incomplete") as caught:
        read_shards(job)
    assert all(name in str(caught.value) for name in missing)
    shards = read_shards(job, partial=True)
    assert [shard.path.name for shard in shards] == sorted(
        path.name for path in job.glob("*.parquet") if path.with_suffix(".json").exists()
    )


def test_a_plan_of_many_shards_lists_only_some_that_are_missing(job):
    plan = json.loads((job / "plan.json").read_text())
    (job / "plan.json").write_text(json.dumps({**plan, "num_samples": 10**18}))
    with pytest.raises(ValueError, match=r"shard-00006\.json, \.\.\.;"):
        read_shards(job)


def test_a_job_without_a_finished_shard_is_refused(job):
    for path in job.glob("shard-*.json"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="no finished token shards"):
        read_shards(job, partial=True)


def test_a_shard_of_another_job_is_named(job, tmp_path):
    other = encode_heldout(tmp_path / "other", bottleneck={"kind": "fsq", "levels": [8, 8]})
    for name in ("shard-00001.parquet", "shard-00001.json"):
        shutil.copy(other / name, job / name)
    match = r"shard-00001\.parquet belongs to a different job than {} \(fingerprint: "
    with pytest.raises(ValueError, match=match.format(r"plan\.json")):
        read_shards(job)
    (job / "plan.json").unlink()
    with pytest.raises(ValueError, match=match.format(r"shard-00000\.parquet")):
        read_shards(job, partial=True)


@pytest.mark.parametrize("name", ["plan.json", "manifest.json", "shard-00000.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"na', b"\xff\xfe", b"[" * 10**5])
def test_a_damaged_json_file_is_named(job, name, content):
    (job / name).write_bytes(content)
    with pytest.raises(ValueError, match="is damaged") as caught:
        read_shards(job)
    assert str(job / name) in str(caught.value)


def _nulls(table: pa.Table, name: str) -> pa.Table:
    index = table.column_names.index(name)
    return table.set_column(index, name, pa.nulls(len(table), table.field(name).type))


def _changed(table: pa.Table, name: str, value) -> pa.Table:
    values = [{**row, name: value} for row in table.to_pylist()]
    return pa.Table.from_pylist(values, schema=table.schema)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table.replace_schema_metadata({}), "has no entry b'vistok'"),
        (lambda table: table.replace_schema_metadata({METADATA_KEY: b"{}"}), "is damaged"),
        (lambda table: table.drop_columns(["grid"]), "must have one column 'grid'"),
        (lambda table: _nulls(table, "tokens"), "column 'tokens' must not have null values"),
        (lambda table: _nulls(table, "key"), "column 'key' must not have null values"),
        (lambda table: _changed(table, "tokens", [None] * 4), "tokens must be below"),
        (lambda table: _changed(table, "tokens", [65_000] * 4), "tokens must be below"),
        (lambda table: _changed(table, "tokens", [1, 2, 3]), "4 tokens must fill its grids"),
        (lambda table: _changed(table, "grid", []), "grid must be"),
        (lambda table: _changed(table, "grid", [None]), "grid must be"),
        (lambda table: _changed(table, "grid", [[1, 2, 2, 0]]), "grid must be"),
        (lambda table: _changed(table, "grid", [[1, 2]]), "grid must be"),
        (lambda table: _changed(table, "size", [1, None, 16]), "size must be"),
        (lambda table: _changed(table, "size", [1, 16, -16]), "size must be"),
        (lambda table: _changed(table, "fps", float("nan")), "fps must be positive"),
        (lambda table: _changed(table, "key", "../../evil"), "would lead out of it"),
        (lambda table: _changed(table, "key", "a\0b"), "does not name a file"),
        (lambda table: _changed(table, "key", "."), "does not name a file"),
        (lambda table: _changed(table, "key", "twice"), "2 samples have the key 'twice'"),
        (lambda table: _changed(table, "grid", [[1, 1, 2, 2]]), "cannot be decoded"),
    ],
)
def test_a_shard_of_wrong_content_is_refused_in_one_line(
    job, tmp_path, image_tokenizer, change, reason
):
    shard = job / "shard-00000.parquet"
    replace_shard(shard, change(pq.read_table(shard)))
    with pytest.raises(ValueError, match=reason) as caught:
        decode_shards(job, image_tokenizer, tmp_path / "out", partial=True)
    assert str(shard) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_parquet_is_named(job):
    shard = job / "shard-00000.parquet"
    replace_shard(shard, b"PAR1 and nothing of it")
    with pytest.raises(ValueError, match=r"shard-00000\.parquet cannot be read as Parquet"):
        read_shards(job, partial=True)
