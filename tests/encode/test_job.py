"""Encoding jobs: the same shards after a kill, nothing stale, nothing lost without a word."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from full_disk import full_disk
from stored_jobs import encode_heldout
from tiny import tiny_tokenizer
from video_frames import count_frames
from vistok.data.codecs.image import read_image
from vistok.data.sources.bundled import SAMPLES
from vistok.encode.decode import decode_shards
from vistok.encode.job import encode_source
from vistok.encode.records import read_records
from vistok.encode.shard import token_schema
from vistok.encode.stored_job import read_shards
from vistok.output_file import OutputError

IMAGES = "samples:images"


def encode(output, tokenizer=None, source=IMAGES, **options):
    options = {"size": 64, "shard_size": 4, "batch_size": 3, **options}
    return encode_source(source, tokenizer or tiny_tokenizer(), output, **options)


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_sample_has_its_tokens_and_its_source(tmp_path):
    result = encode(tmp_path)
    assert (result.num_samples, result.num_shards, result.shards_written) == (15, 4, 4)
    shards = read_shards(tmp_path)
    records = [record for shard in shards for record in read_records(shard)]
    assert len({record["key"] for record in records}) == 15
    first = records[0]
    assert first["grid"] == [[1, 8, 8, 1]]
    assert first["size"] == [1, 64, 64]
    assert len(first["tokens"]) == 64
    assert (first["width"], first["height"], first["fps"]) == (256, 256, None)
    assert shards[0].metadata.codebook_size == 64_000
    assert "uint16" in str(pq.read_schema(shards[0].path).field("tokens").type)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["num_encoded"] == 15
    assert [shard["count"] for shard in manifest["shards"]] == [4, 4, 4, 3]


def test_tokens_equal_those_of_the_model(tmp_path):
    from vistok.data.pixels import to_pixels
    from vistok.data.resize import adm_center_crop

    tokenizer = tiny_tokenizer()
    encode(tmp_path, tokenizer, batch_size=1)
    record = read_records(read_shards(tmp_path)[0])[0]
    image = adm_center_crop(read_image(SAMPLES / "images" / "face_astronaut.jpg"), 64)
    pixels = to_pixels(torch.from_numpy(np.array(image))).permute(2, 0, 1)
    assert tokenizer.encode_images(pixels[None]).tokens[0].tolist() == record["tokens"]


def test_an_interrupted_job_ends_with_the_same_bytes(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    encode(whole)
    encode(broken)
    (broken / "shard-00001.json").unlink()  # killed between shard and sidecar
    (broken / "shard-00002.parquet").write_bytes(b"half")  # a shard that rotted
    (broken / "manifest.json").unlink()
    untouched = (broken / "shard-00000.parquet").stat().st_mtime_ns
    assert encode(broken).shards_written == 2
    assert contents(broken) == contents(whole)
    assert (broken / "shard-00000.parquet").stat().st_mtime_ns == untouched


def _entry(**values: object) -> bytes:
    info = {"name": "shard-00001.parquet", "count": 2, "sha256": "0" * 64, "bad": []}
    return json.dumps({**info, **values}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"name": "shard-',
        b"\xff",
        b"[" * 10**5,
        _entry(),
        _entry(extra=1),
        _entry(count="2"),
        _entry(bad=[{"path": 1}]),
        _entry(name="shard-00000.parquet"),
    ],
)
def test_a_shard_with_a_damaged_sidecar_is_made_again(tmp_path, caplog, content):
    encode_heldout(tmp_path)
    before, sidecar = contents(tmp_path), tmp_path / "shard-00001.json"
    sidecar.write_bytes(content)
    encode_heldout(tmp_path)
    assert contents(tmp_path) == before
    (warning,) = [record.message for record in caplog.records]
    assert warning.endswith("making shard-00001.parquet again")


def test_a_sidecar_that_counts_wrong_is_damaged_too(tmp_path):
    encode_heldout(tmp_path)
    before, sidecar = contents(tmp_path), tmp_path / "shard-00001.json"
    sidecar.write_text(sidecar.read_text().replace('"count": 2', '"count": 3'))
    encode_heldout(tmp_path)
    assert contents(tmp_path) == before


def test_a_whole_shard_of_another_job_is_made_again(tmp_path):
    job, other = encode_heldout(tmp_path / "job"), encode_heldout(tmp_path / "other", size=24)
    before = contents(job)
    for name in ("shard-00001.parquet", "shard-00001.json"):
        (job / name).write_bytes((other / name).read_bytes())
    encode_heldout(job)
    assert contents(job) == before


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"what": "tok', b"[" * 10**5])
def test_a_damaged_plan_is_named(tmp_path, content):
    encode_heldout(tmp_path)
    before, plan = contents(tmp_path), tmp_path / "plan.json"
    plan.write_bytes(content)
    with pytest.raises(ValueError, match=r"plan\.json is damaged .*--overwrite"):
        encode_heldout(tmp_path)
    encode_heldout(tmp_path, overwrite=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("longest", "name"), [(100, "plan.json"), (700, "shard-00000.parquet")])
def test_a_full_disk_is_reported_by_path_and_the_job_resumes(tmp_path, longest, name):
    whole, broken = encode_heldout(tmp_path / "whole"), tmp_path / "broken"
    with full_disk(longest), pytest.raises(OutputError, match=re.escape(str(broken / name))):
        encode_heldout(broken)
    encode_heldout(broken)
    assert contents(broken) == contents(whole)


def test_a_finished_job_does_nothing(tmp_path):
    encode(tmp_path)
    before = contents(tmp_path)
    assert encode(tmp_path).shards_written == 0
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 32}, "size: 64 there, 32 requested"),
        ({"limit": 3}, "num_samples: 15 there, 3 requested"),
        ({"tokenizer": tiny_tokenizer("image", {"kind": "fsq", "levels": [8, 8]})}, "fingerprint"),
        ({"tokenizer": tiny_tokenizer().to(torch.bfloat16)}, "fingerprint"),
    ],
)
def test_another_job_is_refused_unless_it_may_overwrite(tmp_path, change, message):
    encode(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=message):
        encode(tmp_path, **change)
    assert contents(tmp_path) == before
    assert encode(tmp_path, overwrite=True, **change).shards_written > 0


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="does not contain an encoding job"):
        encode(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_whole_images_of_any_shape_keep_their_aspect(tmp_path):
    encode(tmp_path / "tokens", keep_aspect=True)
    records = read_records(read_shards(tmp_path / "tokens")[0])
    sizes = {record["key"]: record["size"] for record in records}
    assert sizes["images/kodim01"] == [1, 64, 96]
    paths = decode_shards(tmp_path / "tokens", tiny_tokenizer(), tmp_path / "out")
    assert read_image(tmp_path / "out" / "images" / "photo_of_book_page.png").size == (129, 64)
    assert len(paths) == 15


def test_decoding_stored_tokens_equals_reconstructing(tmp_path):
    tokenizer = tiny_tokenizer()
    encode(tmp_path / "tokens", tokenizer, source="samples:heldout")
    decode_shards(tmp_path / "tokens", tokenizer, tmp_path / "out", keys=["images/kodim15"])
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["kodim15.png"]
    from vistok.data.codecs.image import to_tensor
    from vistok.data.pixels import to_pixels, to_uint8
    from vistok.data.resize import adm_center_crop

    image = adm_center_crop(read_image(SAMPLES / "images" / "kodim15.jpg"), 64)
    expected = to_uint8(tokenizer.reconstruct(to_pixels(to_tensor(image))[None, :, None]))
    got = to_tensor(read_image(tmp_path / "out" / "images" / "kodim15.png"))
    assert (got.int() - expected[0, :, 0].int()).abs().max() <= 1  # batch-dependent kernels


def test_clips_are_encoded_with_their_frame_rate(tmp_path):
    tokenizer = tiny_tokenizer("video")
    encode(tmp_path / "t", tokenizer, source="samples:videos", frames=5, stride=2, limit=2)
    record = read_records(read_shards(tmp_path / "t")[0])[0]
    assert (record["size"], record["grid"], record["fps"]) == ([5, 64, 64], [[2, 8, 8, 1]], 15.0)
    paths = decode_shards(tmp_path / "t", tokenizer, tmp_path / "out")
    assert [path.suffix for path in paths] == [".mp4", ".mp4"]
    assert count_frames(paths[0]) == 5


def test_latents_are_stored_with_both_moments_and_decode(tmp_path):
    tokenizer = tiny_tokenizer("image", {"kind": "kl", "latent_channels": 4})
    encode(tmp_path / "latents", tokenizer, what="latents", source="samples:heldout")
    record = read_records(read_shards(tmp_path / "latents")[0])[0]
    assert len(record["mean"]) == len(record["logvar"]) == 2 * 4 * 8 * 8
    assert len(decode_shards(tmp_path / "latents", tokenizer, tmp_path / "out")) == 4


def test_files_that_cannot_be_read_are_listed(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    good = SAMPLES / "images" / "kodim01.jpg"
    (source / "b.jpg").write_bytes(good.read_bytes())
    result = encode(tmp_path / "out", source=source)
    assert result.num_samples == 1
    (line,) = (tmp_path / "out" / "bad_samples.jsonl").read_text().splitlines()
    assert json.loads(line)["path"].endswith("a.png")


def test_decoding_with_another_tokenizer_is_refused(tmp_path):
    encode(tmp_path / "tokens", source="samples:heldout")
    other = tiny_tokenizer("image", {"kind": "fsq", "levels": [8, 8, 8, 5, 5]})
    with pytest.raises(ValueError, match="was made by tokenizer"):
        decode_shards(tmp_path / "tokens", other, tmp_path / "out")
    with pytest.raises(ValueError, match="no sample called nothing among the 4 stored"):
        decode_shards(tmp_path / "tokens", tiny_tokenizer(), tmp_path / "out", keys=["nothing"])
    with pytest.raises(FileNotFoundError, match="no token shards"):
        decode_shards(tmp_path, other, tmp_path / "out")


def test_impossible_jobs_are_refused_before_they_start(tmp_path):
    with pytest.raises(ValueError, match="nearest legal: 56 or 64"):
        encode(tmp_path / "a", size=60)
    with pytest.raises(ValueError, match="continuous"):
        encode(tmp_path / "b", tiny_tokenizer("image", {"kind": "plain", "latent_channels": 4}))
    with pytest.raises(ValueError, match="encodes videos, but samples:images contains none"):
        encode(tmp_path / "c", tiny_tokenizer("video"), frames=5)
    with pytest.raises(ValueError, match=r"size must be at most 8192, .* got 9000; lower --size"):
        encode(tmp_path / "d", size=9000)
    assert not any(tmp_path.iterdir())


def test_a_size_that_makes_an_image_too_large_is_named(tmp_path):
    with pytest.raises(OSError, match="--size is 7680, choose a smaller one"):
        encode(tmp_path, source=str(SAMPLES / "images" / "kodim01.jpg"), size=7680)


@pytest.mark.parametrize(
    ("size", "kind"), [(2**16, "uint16"), (2**16 + 1, "uint32"), (2**40, "uint64")]
)
def test_tokens_take_the_narrowest_type(size, kind):
    assert kind in str(token_schema(size).field("tokens").type)
