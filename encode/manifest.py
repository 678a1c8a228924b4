"""The manifest of a finished job: its settings, and every shard with its hash."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import NonNegativeInt

from ..json_file import STRICT
from ..output_file import dumps, write_text_whole
from .latent_statistics import LatentStatistics, statistics_of
from .plan import BAD_FILE, MANIFEST_FILE
from .shard import ShardInfo, ShardMetadata


@dataclass(frozen=True)
class ShardEntry:
    """The line of a shard in the manifest."""

    name: str
    count: NonNegativeInt
    sha256: str


@dataclass(frozen=True)
class Manifest(ShardMetadata):
    """Contents of the manifest: the metadata of the shards, then the results of the job.

    Attributes:
        num_encoded: number of samples in all shards.
        num_bad: number of files that could not be read.
        latents: mean and standard deviation of the stored latents; None for tokens.
        shards: every shard with its hash.
    """

    __pydantic_config__ = STRICT

    num_encoded: NonNegativeInt
    num_bad: NonNegativeInt
    latents: LatentStatistics | None
    shards: list[ShardEntry]


def make_manifest(metadata: ShardMetadata, shards: Sequence[ShardInfo]) -> Manifest:
    """Return the manifest of a job with these shards."""
    return Manifest(
        **asdict(metadata),
        num_encoded=sum(shard.count for shard in shards),
        num_bad=sum(len(shard.bad) for shard in shards),
        latents=statistics_of(shard.latents for shard in shards),
        shards=[ShardEntry(shard.name, shard.count, shard.sha256) for shard in shards],
    )


def write_manifest(folder: Path, metadata: ShardMetadata, shards: Sequence[ShardInfo]) -> None:
    """Write the manifest of a finished job, and the list of its unreadable files."""
    text = dumps(asdict(make_manifest(metadata, shards))) + "\n"
    write_text_whole(folder / MANIFEST_FILE, text)
    lines = [json.dumps(asdict(bad)) + "\n" for shard in shards for bad in shard.bad]
    write_text_whole(folder / BAD_FILE, "".join(lines))
