"""Small encoding jobs on disk, and ways to change them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tiny import tiny_tokenizer
from vistok.encode.job import encode_source
from vistok.output_file import file_sha256


def encode_heldout(output: Path, bottleneck: dict | None = None, **options: Any) -> Path:
    """Encode the four held-out images to two shards of two; each has four tokens."""
    options = {"size": 16, "shard_size": 2, "name": "tiny", **options}
    encode_source("samples:heldout", tiny_tokenizer("image", bottleneck), output, **options)
    return output


def replace_shard(shard: Path, content: pa.Table | bytes) -> None:
    """Write other content to a shard, let its sidecar agree, and forget the manifest."""
    if isinstance(content, bytes):
        shard.write_bytes(content)
    else:
        pq.write_table(content, shard, compression="zstd")
    sidecar = shard.with_suffix(".json")
    info = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**info, "sha256": file_sha256(shard)}))
    (shard.parent / "manifest.json").unlink()
