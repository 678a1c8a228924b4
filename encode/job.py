"""The encoding job: turns a source into shards of tokens or latents, resumable shard by shard."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from math import isqrt
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from ..data.codecs.image import MAX_PIXELS
from ..data.pixels import to_pixels
from ..data.sources.media import BadFile, MediaFile, bad_limit, bad_lines
from ..data.sources.source import list_source
from ..eval_mode import eval_mode
from ..folder_lock import folder_lock
from ..progress import ProgressLine
from ..tokenizers.encoding import Encoding
from ..tokenizers.fingerprint import fingerprint
from ..tokenizers.open import open_tokenizer
from ..tokenizers.tokenizer import VisualTokenizer
from .dataset import EncodeDataset, EncodingSample
from .manifest import write_manifest
from .plan import Plan, What, listing_hash
from .shard import (
    Record,
    ShardInfo,
    ShardMetadata,
    finished_shard,
    latent_schema,
    token_schema,
    write_shard,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncodeResult:
    """Summary of an encoding job.

    Attributes:
        num_samples: number of samples in all shards.
        num_shards: number of shards of the job.
        shards_written: number of shards written by this call; 0 if the job was already finished.
        bad: files that could not be read.
    """

    num_samples: int
    num_shards: int
    shards_written: int
    bad: tuple[BadFile, ...]


def encode_source(
    source: str | Path,
    tokenizer: VisualTokenizer | str | Path,
    output: str | Path,
    *,
    name: str = "",
    what: What = "tokens",
    size: int = 256,
    keep_aspect: bool = False,
    frames: int = 1,
    stride: int = 1,
    batch_size: int = 16,
    shard_size: int = 512,
    workers: int = 0,
    limit: int | None = None,
    overwrite: bool = False,
    max_bad: float = 0.01,
    show_progress: bool = False,
) -> EncodeResult:
    """Encode the images (or, with `frames` > 1, the first clip of every video) of a source.

    Args:
        source: images and videos to encode; see `list_source`.
        tokenizer: the tokenizer, which encodes in its own dtype and on its own device; or the
            folder or hub id of a saved one, which runs on the CPU.
        output: folder of the shards; an interrupted job in it is resumed.
        name: name of the tokenizer to record in the shards; by default that of a saved one.
        what: tokens, or latents (mean and log-variance).
        size: short side, in pixels; square center crops unless `keep_aspect`.
        keep_aspect: encode whole images, padded to the tokenizer's legal sizes.
        frames: number of frames per clip.
        stride: step between the frames of a clip.
        batch_size: number of samples per forward pass.
        shard_size: number of samples per shard.
        workers: number of processes that read files.
        limit: maximum number of files to encode.
        overwrite: start again if the output folder holds another job.
        max_bad: accepted unreadable files: below 1 a share (at least 10 files), else a number.
        show_progress: whether to show a progress bar on stderr.

    Raises:
        OSError: more files than accepted, or all of them, cannot be read.
        ValueError: the source has nothing to encode, the tokenizer cannot encode the requested
            shape, or the output folder holds another job or is in use.
    """
    output = Path(output)
    name = name or ("" if isinstance(tokenizer, VisualTokenizer) else str(tokenizer))
    tokenizer = open_tokenizer(tokenizer)
    files = _files_to_encode(source, frames, limit)
    schema = token_schema(tokenizer.codebook_size) if what == "tokens" else latent_schema()
    if what == "latents" and "continuous" not in tokenizer.paths:
        raise ValueError(
            "this tokenizer is discrete, so its latents could not be decoded again; encode tokens"
        )
    largest = isqrt(MAX_PIXELS)
    if size > largest:
        raise ValueError(
            f"size must be at most {largest}, as images have at most {MAX_PIXELS} pixels, "
            f"got {size}; lower --size"
        )
    if not keep_aspect:
        tokenizer.layout((frames, size, size))
    plan = Plan(
        what=what,
        tokenizer=name,
        fingerprint=fingerprint(tokenizer),
        size=size,
        keep_aspect=keep_aspect,
        frames=frames,
        stride=stride,
        batch_size=batch_size,
        shard_size=shard_size,
        num_samples=len(files),
        listing=listing_hash(files),
    )
    samples = EncodeDataset(files, size=size, keep_aspect=keep_aspect, frames=frames, stride=stride)
    metadata = ShardMetadata(
        **asdict(plan),
        codebook_size=_codebook_size(tokenizer),
        latent_scale=tokenizer.latent_scale.to_config() if what == "latents" else None,
    )

    shards: list[ShardInfo] = []
    written = 0
    progress = ProgressLine("encoding", plan.num_samples, enabled=show_progress)
    with folder_lock(output), eval_mode(tokenizer):
        plan.prepare(output, overwrite)
        with progress:
            for index in range(plan.num_shards):
                shard = finished_shard(output, index, plan)
                if shard is None:
                    subset = Subset(samples, plan.shard(index))
                    loader = DataLoader(subset, batch_size, num_workers=workers, collate_fn=list)
                    records, bad = _encode_shard(loader, tokenizer, what, progress)
                    shard = write_shard(
                        output, index, records=records, bad=bad, schema=schema, metadata=metadata
                    )
                    written += 1
                else:
                    progress.advance(len(plan.shard(index)))
                shards.append(shard)
                _check_bad(shards, len(files), max_bad)
        write_manifest(output, metadata, shards)
    return EncodeResult(
        num_samples=sum(shard.count for shard in shards),
        num_shards=len(shards),
        shards_written=written,
        bad=tuple(bad for shard in shards for bad in shard.bad),
    )


def _files_to_encode(source: str | Path, frames: int, limit: int | None) -> tuple[MediaFile, ...]:
    """List the files of the kind that clips of `frames` frames come from."""
    kind = "image" if frames == 1 else "video"
    listing = list_source(source)
    found = listing.of_kind(kind)
    others = len(listing.files) - len(found) + len(listing.skipped)
    if others:
        log.warning("skipping %d file(s) of %s that are not %ss", others, source, kind)
    files = found[:limit]
    if not files:
        raise ValueError(
            f"frames={frames} encodes {kind}s, but {source} contains none; "
            f"set --frames to {'17, for example,' if frames == 1 else '1'} or give another source"
        )
    return files


def _check_bad(shards: Sequence[ShardInfo], num_files: int, max_bad: float) -> None:
    """Raise if more files than accepted, or all of them, cannot be read."""
    bad = [bad for shard in shards for bad in shard.bad]
    limit = min(bad_limit(max_bad, num_files), num_files - 1)
    if len(bad) > limit:
        raise OSError(
            f"{len(bad)} of {num_files} files cannot be read, max_bad={max_bad:g} accepts {limit}:"
            f"{bad_lines(bad)}\nrepair the source, or raise max_bad"
        )


def _encode_shard(
    loader: Iterable[list[EncodingSample | BadFile]],
    tokenizer: VisualTokenizer,
    what: What,
    progress: ProgressLine,
) -> tuple[list[Record], list[BadFile]]:
    """Encode the samples of one shard; return their records and the unreadable files."""
    records: list[Record] = []
    bad: list[BadFile] = []
    for batch in loader:
        good = [sample for sample in batch if isinstance(sample, EncodingSample)]
        bad += [sample for sample in batch if isinstance(sample, BadFile)]
        for group in _same_shape(good):
            clips = torch.stack([sample.clip for sample in group])
            with torch.inference_mode():
                pixels = to_pixels(clips).to(tokenizer.device, tokenizer.dtype)
                encoding = tokenizer.encode(pixels, pad="replicate")
            records += _records(group, encoding, what)
        progress.advance(len(batch))
    return records, bad


def _same_shape(samples: Sequence[EncodingSample]) -> Iterator[list[EncodingSample]]:
    """Yield runs of samples of one shape, which can share a forward pass."""
    for _, group in groupby(samples, key=lambda sample: sample.clip.shape):
        yield list(group)


def _records(samples: Sequence[EncodingSample], encoding: Encoding, what: What) -> Iterator[Record]:
    """Yield the row of each sample of a batch."""
    groups = len(encoding.group_sizes)
    contents = _token_columns(encoding) if what == "tokens" else _latent_columns(encoding)
    for sample, content in zip(samples, contents, strict=True):
        yield {
            "key": sample.file.key,
            "path": str(sample.file.path),
            "width": sample.width,
            "height": sample.height,
            "fps": sample.fps,
            "size": list(encoding.layout.size),
            "grid": [[*grid, groups] for grid in encoding.layout.grids],
            **content,
        }


def _token_columns(encoding: Encoding) -> list[Record]:
    return [{"tokens": tokens} for tokens in encoding.tokens.cpu().numpy()]


def _latent_columns(encoding: Encoding) -> list[Record]:
    assert encoding.posterior is not None, "latents are stored for continuous tokenizers only"
    means = _half_bytes(encoding.posterior.mean[0])
    logvar = encoding.posterior.logvar[0]
    logvars = [None] * len(means) if logvar is None else _half_bytes(logvar)
    return [{"mean": m, "logvar": v} for m, v in zip(means, logvars, strict=True)]


def _half_bytes(values: Tensor) -> list[bytes]:
    """Return the float16 bytes of each sample of a batch."""
    return [array.tobytes() for array in values.to("cpu", torch.float16).contiguous().numpy()]


def _codebook_size(tokenizer: VisualTokenizer) -> int | None:
    return tokenizer.codebook_size if tokenizer.is_discrete else None
