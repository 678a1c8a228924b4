"""Shards: Parquet files of encoded samples, each with a JSON sidecar that marks it as complete.

One row is one image or clip:

    key, path, width, height, fps      its source
    size                               [T, H, W] of the encoded pixels, before padding
    grid                               [[t, h, w, groups], ...] in the order of the tokens
    tokens                             list<uint16|uint32|uint64>          (tokens)
    mean, logvar                       float16 bytes, (C, t, h, w) C order   (latents)
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..data.sources.media import BadFile
from ..output_file import file_sha256, replaced_file, write_text_whole

Record = dict[str, Any]
METADATA_KEY = b"vistok"

_SOURCE_FIELDS = [
    ("key", pa.string()),
    ("path", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("fps", pa.float64()),
    ("size", pa.list_(pa.int32())),
    ("grid", pa.list_(pa.list_(pa.int32()))),
]


@dataclass(frozen=True)
class ShardInfo:
    """Contents of the sidecar of a shard."""

    name: str
    count: int
    sha256: str
    bad: list[BadFile]


def token_schema(codebook_size: int) -> pa.Schema:
    """Return the columns of a shard of tokens, in the narrowest unsigned type for the indices."""
    for bits, kind in ((16, pa.uint16()), (32, pa.uint32()), (64, pa.uint64())):
        if codebook_size <= 2**bits:
            return pa.schema([*_SOURCE_FIELDS, ("tokens", pa.list_(kind))])
    raise ValueError(f"no integer type can index a codebook of {codebook_size} codes")


def latent_schema() -> pa.Schema:
    """Return the columns of a shard of latents."""
    return pa.schema([*_SOURCE_FIELDS, ("mean", pa.binary()), ("logvar", pa.binary())])


def write_shard(
    folder: Path,
    index: int,
    records: Sequence[Record],
    bad: Sequence[BadFile],
    schema: pa.Schema,
    metadata: Record,
) -> ShardInfo:
    """Write a shard, then the sidecar that marks it as complete."""
    target = _shard_path(folder, index)
    schema = schema.with_metadata({METADATA_KEY: json.dumps(metadata, sort_keys=True).encode()})
    table = pa.Table.from_pylist(list(records), schema=schema)
    with replaced_file(target) as partial:
        pq.write_table(table, partial, compression="zstd")
        info = ShardInfo(target.name, len(records), file_sha256(partial), list(bad))
    write_text_whole(target.with_suffix(".json"), json.dumps(asdict(info), indent=1) + "\n")
    return info


def finished_shard(folder: Path, index: int) -> ShardInfo | None:
    """Return the sidecar of a complete shard, or None if the shard must be written."""
    target = _shard_path(folder, index)
    sidecar = target.with_suffix(".json")
    if not (target.exists() and sidecar.exists()):
        return None
    values = json.loads(sidecar.read_text(encoding="utf-8"))
    info = ShardInfo(**{**values, "bad": [BadFile(**bad) for bad in values["bad"]]})
    return info if info.sha256 == file_sha256(target) else None


def read_shards(folder: Path) -> list[tuple[Path, Record]]:
    """Return the shards of a finished or unfinished job with their metadata, in order.

    Raises:
        FileNotFoundError: the folder contains no shards.
    """
    paths = sorted(folder.glob("shard-*.parquet"))
    if not paths:
        raise FileNotFoundError(f"no token shards (shard-*.parquet) in {folder}")
    return [(path, json.loads(pq.read_schema(path).metadata[METADATA_KEY])) for path in paths]


def read_records(path: Path) -> list[Record]:
    """Read all rows of a shard."""
    return pq.read_table(path).to_pylist()


def _shard_path(folder: Path, index: int) -> Path:
    return folder / f"shard-{index:05d}.parquet"
