"""Damaged encoding jobs: a changed shard, sidecar, plan or manifest is found or has no effect."""

import json
import shutil
from pathlib import Path
from random import Random

import pytest

from fuzzing import CASES, check_message, check_refusal, fuzz, run
from mutators import damaged, flipped
from stored_jobs import encode_heldout
from tiny import tiny_tokenizer
from vistok.encode.records import read_records
from vistok.encode.stored_job import read_shards

pytestmark = pytest.mark.slow

FILES = ("shard-00000.parquet", "shard-00001.json", "plan.json", "manifest.json")
# In shards every change is found; the JSON files have spaces and the name of the tokenizer.
SHARD = FILES[0]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Path:
    """The tokenizer that encodes the job."""
    folder = tmp_path_factory.mktemp("fuzz") / "tokenizer"
    tiny_tokenizer("image").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def job(tokenizer, tmp_path_factory) -> Path:
    """Four images in two shards."""
    return encode_heldout(tmp_path_factory.mktemp("fuzz") / "job", name=str(tokenizer))


def rows(job: Path) -> list[dict]:
    return [record for shard in read_shards(job) for record in read_records(shard)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_readers_of_damaged_jobs(job, tmp_path):
    job = Path(shutil.copytree(job, tmp_path / "job"))
    expected, whole = rows(job), contents(job)

    def case(draw: Random) -> None:
        # Above 300 of 500 cases are flips of one byte of a shard
        name = SHARD if draw.random() < 0.7 else draw.choice(FILES)
        content = (flipped if draw.random() < 0.9 else damaged)(whole[name], draw)
        (job / name).write_bytes(content)
        try:
            found = rows(job)
        except ValueError as error:
            check_message(str(error), [name])
        else:
            assert found == expected
            assert name != SHARD or content == whole[name], "a changed shard was read"
        finally:
            (job / name).write_bytes(whole[name])

    fuzz(case)


def says_the_same(name: str, one: bytes, other: bytes) -> bool:
    """Return whether two files are equal but for the white space between values of JSON."""
    return one == other or (name.endswith(".json") and json.loads(one) == json.loads(other))


def test_commands_on_damaged_jobs(job, tokenizer, tmp_path):
    """Decoding refuses the job; encoding makes the damaged shard again, the same as before."""
    job = Path(shutil.copytree(job, tmp_path / "job"))
    whole, out = contents(job), tmp_path / "out"
    options = ("--tokenizer", tokenizer, "--output")
    encode = ("encode", "samples:heldout", *options, job, "--size", 16, "--shard-size", 2)

    def case(draw: Random) -> None:
        name = draw.choice((*FILES, "bad_samples.jsonl"))
        (job / name).write_bytes(damaged(whole[name], draw))
        try:
            if draw.random() < 0.5:
                decoded = run("decode", job, *options, out)
                if decoded.code:
                    check_refusal(decoded, [name])
                    assert not out.exists()
            else:
                encoded = run(*encode)
                if encoded.code:
                    assert name == "plan.json", encoded
                    check_refusal(encoded, [name, "contains a different job"])
                else:
                    now = contents(job)
                    assert now.keys() == whole.keys()
                    changed = {n for n in now if not says_the_same(n, now[n], whole[n])}
                    assert changed <= {"plan.json"}, encoded
        finally:
            for path, content in whole.items():
                (job / path).write_bytes(content)
            shutil.rmtree(out, ignore_errors=True)

    fuzz(case, CASES // 5)
