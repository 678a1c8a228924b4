"""The encoding job: a source to shards of tokens or latents, resumable shard by shard."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from ..data.pixels import to_pixels
from ..data.sources.media import BadFile
from ..data.sources.source import list_source
from ..data.training.loader import bad_limit
from ..eval_mode import eval_mode
from ..output_file import write_text_whole
from ..progress import ProgressLine
from ..tokenizers.encoding import Encoding
from ..tokenizers.fingerprint import fingerprint
from ..tokenizers.tokenizer import VisualTokenizer
from .dataset import EncodeDataset, EncodingSample
from .plan import Plan, What, listing_hash
from .shard import Record, ShardInfo, finished_shard, latent_schema, token_schema, write_shard

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncodeResult:
    """What an encoding job did.

    Attributes:
        num_samples: samples in all shards.
        num_shards: shards of the job.
        shards_written: shards made by this call; 0 when the job was finished already.
        bad: files that could not be read.
    """

    num_samples: int
    num_shards: int
    shards_written: int
    bad: tuple[BadFile, ...]


def encode_source(
    source: str | Path,
    tokenizer: VisualTokenizer,
    output: Path,
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
        source: what to read; see `list_source`.
        tokenizer: encodes in its own dtype, on its own device.
        output: folder of the shards; a job that was stopped goes on where it was.
        name: what the shards say they were made with.
        what: tokens, or latents (mean and log-variance).
        size: short side, in pixels; square centre crops unless `keep_aspect`.
        keep_aspect: encode whole images, padded to the tokenizer's legal sizes.
        frames: frames per clip.
        stride: step between the frames of a clip.
        batch_size: samples per forward pass.
        shard_size: samples per shard.
        workers: reading processes.
        limit: encode at most so many files.
        overwrite: start afresh where the output holds another job.
        max_bad: unreadable files that are accepted: below 1 a share (at least 10), else a number.
        show_progress: whether to show a bar on stderr.

    Raises:
        OSError: more files than that, or all of them, cannot be read.
        ValueError: nothing to encode, a shape the tokenizer cannot take, or another job's output.
    """
    kind = "image" if frames == 1 else "video"
    listing = list_source(source)
    files = listing.of_kind(kind)[:limit]
    others = len(listing.files) - len(listing.of_kind(kind)) + len(listing.skipped)
    if others:
        log.warning("%d file(s) of %s are no %ss and are left out", others, source, kind)
    if not files:
        raise ValueError(
            f"frames={frames} encodes {kind}s, but {source} holds none; "
            f"set --frames to {'17 or so' if frames == 1 else '1'} or give another source"
        )
    schema = token_schema(tokenizer.codebook_size) if what == "tokens" else latent_schema()
    if what == "latents" and "continuous" not in tokenizer.paths:
        raise ValueError(
            "this tokenizer is discrete: latents could not be decoded again; encode tokens"
        )
    if not keep_aspect:
        tokenizer.layout((frames, size, size))
    plan = Plan(
        what, name, fingerprint(tokenizer), size, keep_aspect, frames, stride, batch_size,
        shard_size, len(files), listing_hash(files),
    )  # fmt: skip
    plan.claim(output, overwrite)
    samples = EncodeDataset(files, size, keep_aspect, frames, stride)
    metadata = {**asdict(plan), "codebook_size": _codebook_size(tokenizer)}

    done: list[ShardInfo] = []
    written = 0
    progress = ProgressLine("encoding", plan.num_samples, enabled=show_progress)
    with progress, eval_mode(tokenizer):
        for index in range(plan.num_shards):
            facts = finished_shard(output, index)
            if facts is None:
                subset = Subset(samples, plan.shard(index))
                loader = DataLoader(subset, batch_size, num_workers=workers, collate_fn=list)
                records, bad = _encode_shard(loader, tokenizer, what, progress)
                facts = write_shard(output, index, records, bad, schema, metadata)
                written += 1
            else:
                progress.advance(len(plan.shard(index)))
            done.append(facts)
            _check_bad(done, len(files), max_bad)
    _write_manifest(output, metadata, done)
    return EncodeResult(
        num_samples=sum(facts.count for facts in done),
        num_shards=len(done),
        shards_written=written,
        bad=tuple(bad for facts in done for bad in facts.bad),
    )


def _check_bad(shards: Sequence[ShardInfo], num_files: int, max_bad: float) -> None:
    """Stop where more files than accepted cannot be read, or all of them."""
    bad = [bad for facts in shards for bad in facts.bad]
    limit = min(bad_limit(max_bad, num_files), num_files - 1)
    if len(bad) > limit:
        listed = "\n  ".join(f"{b.path}: {b.reason} ({b.exception})" for b in bad[:10])
        raise OSError(
            f"{len(bad)} of {num_files} files cannot be read, max_bad={max_bad:g} accepts {limit}:"
            f"\n  {listed}\nmend the source, or raise max_bad"
        )


def _encode_shard(
    loader: Any, tokenizer: VisualTokenizer, what: What, progress: ProgressLine
) -> tuple[list[Record], list[BadFile]]:
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
            records += [_record(s, encoding, i, what) for i, s in enumerate(group)]
        progress.advance(len(batch))
    return records, bad


def _same_shape(samples: Sequence[EncodingSample]) -> Iterator[list[EncodingSample]]:
    """Neighbours of one shape, which can share a forward pass."""
    for _, group in groupby(samples, key=lambda sample: sample.clip.shape):
        yield list(group)


def _record(sample: EncodingSample, encoding: Encoding, index: int, what: What) -> Record:
    groups = len(encoding.group_sizes)
    record: Record = {
        "key": sample.file.key,
        "path": str(sample.file.path),
        "width": sample.width,
        "height": sample.height,
        "fps": sample.fps,
        "size": list(encoding.layout.size),
        "grid": [[*grid, groups] for grid in encoding.layout.grids],
    }
    if what == "tokens":
        return {**record, "tokens": encoding.tokens[index].cpu().numpy()}
    assert encoding.posterior is not None, "latents are stored of continuous tokenizers only"
    mean, logvar = encoding.posterior.mean[0], encoding.posterior.logvar[0]
    return {
        **record,
        "mean": _half_bytes(mean[index]),
        "logvar": None if logvar is None else _half_bytes(logvar[index]),
    }


def _half_bytes(values: Tensor) -> bytes:
    return values.to("cpu", torch.float16).contiguous().numpy().tobytes()


def _codebook_size(tokenizer: VisualTokenizer) -> int | None:
    return tokenizer.codebook_size if tokenizer.is_discrete else None


def _write_manifest(output: Path, metadata: Record, shards: Sequence[ShardInfo]) -> None:
    manifest = {
        **metadata,
        "num_encoded": sum(facts.count for facts in shards),
        "num_bad": sum(len(facts.bad) for facts in shards),
        "shards": [{"name": f.name, "count": f.count, "sha256": f.sha256} for f in shards],
    }
    text = json.dumps(manifest, indent=1) + "\n"
    write_text_whole(output / "manifest.json", text)
    lines = [json.dumps(asdict(bad)) + "\n" for facts in shards for bad in facts.bad]
    write_text_whole(output / "bad_samples.jsonl", "".join(lines))
