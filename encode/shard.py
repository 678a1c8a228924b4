"""Shards: Parquet files of encoded samples, each with a JSON sidecar that vouches for it.

One row is one image or clip:

    key, path, width, height, fps      where it comes from
    size                               [T, H, W] of the encoded pixels, before padding
    grid                               [[t, h, w, groups], ...] in the order of the tokens
    tokens                             list<uint16|uint32|uint64>          (tokens)
    mean, logvar                       float16 bytes, (C, t, h, w) C order   (latents)
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..data.sources.media import BadFile

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
    """What a sidecar says of its shard."""

    name: str
    count: int
    sha256: str
    bad: list[BadFile]


def token_schema(codebook_size: int) -> pa.Schema:
    """Columns of a shard of tokens, in the narrowest unsigned type that holds the indices."""
    for bits, kind in ((16, pa.uint16()), (32, pa.uint32()), (64, pa.uint64())):
        if codebook_size <= 2**bits:
            return pa.schema([*_SOURCE_FIELDS, ("tokens", pa.list_(kind))])
    raise ValueError(f"no integer type holds a codebook of {codebook_size} codes")


def latent_schema() -> pa.Schema:
    """Columns of a shard of latents."""
    return pa.schema([*_SOURCE_FIELDS, ("mean", pa.binary()), ("logvar", pa.binary())])


def write_shard(
    folder: Path,
    index: int,
    records: Sequence[Record],
    bad: Sequence[BadFile],
    schema: pa.Schema,
    metadata: Record,
) -> ShardInfo:
    """Write a shard, then the sidecar that makes it count; each appears whole or not at all."""
    target = _shard_path(folder, index)
    schema = schema.with_metadata({METADATA_KEY: json.dumps(metadata, sort_keys=True).encode()})
    partial = target.with_suffix(".partial")
    pq.write_table(pa.Table.from_pylist(list(records), schema=schema), partial, compression="zstd")
    facts = ShardInfo(target.name, len(records), _sha256(partial), list(bad))
    _commit(partial, target)
    partial = target.with_suffix(".json.partial")
    partial.write_text(json.dumps(asdict(facts), indent=1) + "\n", encoding="utf-8")
    _commit(partial, target.with_suffix(".json"))
    return facts


def finished_shard(folder: Path, index: int) -> ShardInfo | None:
    """The facts of a shard that is whole, or None when it has to be made."""
    target = _shard_path(folder, index)
    sidecar = target.with_suffix(".json")
    if not (target.exists() and sidecar.exists()):
        return None
    values = json.loads(sidecar.read_text(encoding="utf-8"))
    facts = ShardInfo(**{**values, "bad": [BadFile(**bad) for bad in values["bad"]]})
    return facts if facts.sha256 == _sha256(target) else None


def read_shards(folder: Path) -> list[tuple[Path, Record]]:
    """The shards of a finished or unfinished job with their metadata, in order.

    Raises:
        FileNotFoundError: the folder holds no shard.
    """
    paths = sorted(folder.glob("shard-*.parquet"))
    if not paths:
        raise FileNotFoundError(f"no token shards (shard-*.parquet) in {folder}")
    return [(path, json.loads(pq.read_schema(path).metadata[METADATA_KEY])) for path in paths]


def read_records(path: Path) -> list[Record]:
    """The rows of a shard."""
    return pq.read_table(path).to_pylist()


def _shard_path(folder: Path, index: int) -> Path:
    return folder / f"shard-{index:05d}.parquet"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _commit(partial: Path, target: Path) -> None:
    """Bring a written file to the disk under its final name."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.rename(target)
