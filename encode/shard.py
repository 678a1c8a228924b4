"""Shards: Parquet files of encoded samples, each with a JSON sidecar that marks it as complete.

One row is one image or clip:

    key, path, width, height, fps      its source
    size                               [T, H, W] of the encoded pixels, before padding
    grid                               [[t, h, w, groups], ...] in the order of the tokens
    tokens                             list<uint16|uint32|uint64>          (tokens)
    mean, logvar                       float16 bytes, (C, t, h, w) C order   (latents)
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import NonNegativeInt, PositiveInt

from ..data.sources.media import BadFile
from ..json_file import STRICT, parse_json, read_json
from ..output_file import file_sha256, replaced_file, write_text_whole
from .latent_statistics import LatentSums, sum_latents
from .plan import PLAN_FILE, Plan

log = logging.getLogger(__name__)

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
class ShardMetadata(Plan):
    """Metadata inside a shard: the plan of its job, and what readers need of its tokenizer.

    Attributes:
        codebook_size: codes per group of a discrete tokenizer.
        latent_scale: statistics with which a diffusion model normalizes the latents, which are
            stored unscaled, by the names in a tokenizer's config; None for tokens.
    """

    __pydantic_config__ = STRICT

    codebook_size: PositiveInt | None
    latent_scale: dict[str, Any] | None


@dataclass(frozen=True)
class ShardInfo:
    """Contents of the sidecar of a shard."""

    __pydantic_config__ = STRICT

    name: str
    count: NonNegativeInt
    sha256: str
    bad: list[BadFile]
    latents: LatentSums | None


@dataclass(frozen=True)
class StoredShard:
    """A shard on disk that agrees with its sidecar."""

    path: Path
    info: ShardInfo
    metadata: ShardMetadata


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
    metadata: ShardMetadata,
) -> ShardInfo:
    """Write a shard, then the sidecar that marks it as complete."""
    target = folder / shard_name(index)
    text = json.dumps(asdict(metadata), sort_keys=True)
    schema = schema.with_metadata({METADATA_KEY: text.encode()})
    table = pa.Table.from_pylist(list(records), schema=schema)
    with replaced_file(target) as partial:
        pq.write_table(table, partial, compression="zstd")
        sums = sum_latents(records) if metadata.what == "latents" else None
        info = ShardInfo(target.name, len(records), file_sha256(partial), list(bad), sums)
    write_text_whole(target.with_suffix(".json"), json.dumps(asdict(info), indent=1) + "\n")
    return info


def finished_shard(folder: Path, index: int, plan: Plan) -> ShardInfo | None:
    """Return the sidecar of a complete shard, or None if the shard must be written."""
    path = folder / shard_name(index)
    if not (path.exists() and path.with_suffix(".json").exists()):
        return None
    try:
        shard = read_shard(path)
        check_same_job(shard, plan, PLAN_FILE)
    except ValueError as error:
        log.warning("%s; making %s again", error, path.name)
        return None
    return shard.info


def read_shard(path: Path) -> StoredShard:
    """Read the sidecar and the metadata of a shard and compare the shard with them.

    Raises:
        ValueError: the shard or its sidecar is damaged; with the path.
    """
    sidecar = path.with_suffix(".json")
    info = read_json(sidecar, ShardInfo)
    if info.name != path.name:
        raise ValueError(f"{sidecar} is damaged (it describes {info.name!r}, not {path.name!r})")
    if info.sha256 != file_sha256(path):
        raise ValueError(f"{path} is damaged (its SHA-256 is not the one in {sidecar.name})")
    metadata, num_rows = _read_footer(path)
    num_samples = len(metadata.shard(_index(path)))
    if info.count != num_rows or info.count + len(info.bad) != num_samples:
        raise ValueError(
            f"{sidecar} is damaged (it counts {info.count} samples and {len(info.bad)} unreadable "
            f"files; the shard has {num_rows} rows, for {num_samples} files)"
        )
    if info.latents != _sums(path, metadata):
        raise ValueError(f"{sidecar} is damaged (its sums are not those of the latents)")
    return StoredShard(path, info, metadata)


def _sums(path: Path, metadata: ShardMetadata) -> LatentSums | None:
    """Return the sums over the latents of a shard; None for tokens."""
    if metadata.what == "tokens":
        return None
    try:
        return sum_latents(pq.read_table(path, columns=["key", "grid", "mean"]).to_pylist())
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read as latents: {error}") from error


def check_same_job(shard: StoredShard, plan: Plan, origin: str) -> None:
    """Raise unless a shard belongs to the job of a plan; `origin` is the file of the plan."""
    changed = plan.differences(shard.metadata)
    if changed:
        raise ValueError(
            f"{shard.path} belongs to a different job than {origin} ({'; '.join(changed)})"
        )


def shard_name(index: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{index:05d}.parquet"


def _index(path: Path) -> int:
    """Return the index of a shard, from its file name."""
    digits = path.stem.removeprefix("shard-")
    if not digits.isdecimal() or path.name != shard_name(int(digits)):
        raise ValueError(f"{path} does not have the name of a shard, such as {shard_name(0)}")
    return int(digits)


def _read_footer(path: Path) -> tuple[ShardMetadata, int]:
    """Return the metadata of a shard and its number of rows."""
    try:
        footer = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as Parquet: {error}") from error
    text = (footer.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise ValueError(f"{path} is not a shard: its metadata has no entry {METADATA_KEY!r}")
    return parse_json(text, ShardMetadata, f"the metadata of {path}"), footer.num_rows
