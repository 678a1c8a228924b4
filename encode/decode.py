"""Decoding of stored tokens or latents to images and clips."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from ..data.codecs.write import write_image, write_video
from ..data.pixels import to_uint8
from ..folder_lock import folder_lock
from ..progress import track
from ..tokenizers.fingerprint import fingerprint
from ..tokenizers.layout import Layout
from ..tokenizers.open import open_tokenizer
from ..tokenizers.tokenizer import VisualTokenizer
from .records import read_records
from .resumed_decode import missing_targets
from .shard import Record, StoredShard
from .stored_job import read_shards

DEFAULT_FPS = Fraction(25)
MAX_DENOMINATOR = 1001  # of frame rates such as 30000/1001


@dataclass(frozen=True)
class StoredSample:
    """A row of a shard, with the shard for error messages."""

    shard: StoredShard
    record: Record


def decode_shards(
    folder: str | Path,
    tokenizer: VisualTokenizer | str | Path,
    output: str | Path,
    keys: Sequence[str] | None = None,
    show_progress: bool = False,
    partial: bool = False,
) -> list[Path]:
    """Decode all stored samples (or those with the given keys) to PNG and MP4 files.

    Interrupted and called again with the same arguments, it writes only the files that are missing.

    Args:
        folder: folder of the shards.
        tokenizer: the tokenizer that encoded them, or the folder or hub id of a saved one, which
            runs on the CPU.
        output: folder of the decoded files, which are named by key.
        keys: keys of the samples to decode; None decodes all.
        show_progress: whether to show a progress bar on stderr.
        partial: decode the finished shards of an incomplete job, instead of refusing it.

    Returns:
        The decoded files, in the order of the samples.

    Raises:
        FileNotFoundError: the folder contains no shards.
        ValueError: the job is incomplete, damaged or was made by another tokenizer, a key is
            unknown, a file exists, or the output folder is in use.
        OutputError: the disk is full.
    """
    output, tokenizer = Path(output), open_tokenizer(tokenizer)
    shards = read_shards(Path(folder), partial)
    _check_fingerprints(shards, fingerprint(tokenizer))
    samples = _chosen(
        [StoredSample(shard, record) for shard in shards for record in read_records(shard)], keys
    )
    targets = _targets(output, samples)
    inputs = [shards[0].metadata.fingerprint, [shard.info.sha256 for shard in shards]]
    with folder_lock(output), missing_targets(output, list(targets), inputs) as missing:
        remaining = {path: sample for path, sample in targets.items() if path in missing}
        decoded = _decode_all(remaining.values(), tokenizer)
        work = zip(remaining.items(), decoded, strict=True)
        for (path, sample), clip in track(work, "decoding", len(remaining), show_progress):
            if clip.shape[1] == 1:
                write_image(path, clip[:, 0])
            else:
                write_video(path, clip.unbind(dim=1), _frame_rate(sample.record["fps"]))
    return list(targets)


def _check_fingerprints(shards: Iterable[StoredShard], given: str) -> None:
    """Raise unless all shards were made by the tokenizer with the given fingerprint."""
    for shard in shards:
        made_by = shard.metadata
        if made_by.fingerprint != given:
            raise ValueError(
                f"{shard.path} was made by tokenizer {made_by.tokenizer!r} (fingerprint "
                f"{made_by.fingerprint[:12]}…), not by the given one ({given[:12]}…); "
                "decode with the tokenizer and the dtype that encoded it"
            )


def _chosen(samples: list[StoredSample], keys: Sequence[str] | None) -> list[StoredSample]:
    """Return the samples with the given keys, or all of them."""
    if not keys:
        return samples
    known = {sample.record["key"] for sample in samples}
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise ValueError(f"no sample called {', '.join(unknown)} among the {len(known)} stored")
    return [sample for sample in samples if sample.record["key"] in set(keys)]


def _targets(output: Path, samples: Sequence[StoredSample]) -> dict[Path, StoredSample]:
    """Return the samples by the file that each is decoded to."""
    paths = [_target(output, sample) for sample in samples]
    for path, uses in Counter(paths).items():
        if uses > 1:
            sample = samples[paths.index(path)]
            raise ValueError(
                f"{sample.shard.path}: {uses} samples have the key {sample.record['key']!r}, and "
                f"would all be written to {path}; refused"
            )
    return dict(zip(paths, samples, strict=True))


def _target(output: Path, sample: StoredSample) -> Path:
    """Return the file of a sample; a stored key must not lead out of the folder."""
    record = sample.record
    key = PurePosixPath(record["key"])
    if key.is_absolute() or ".." in key.parts or not key.name or "\0" in record["key"]:
        raise ValueError(
            f"{sample.shard.path}: the key {record['key']!r} does not name a file in {output}, or "
            "would lead out of it; refused"
        )
    return output / f"{key}.{'png' if record['size'][0] == 1 else 'mp4'}"


def _frame_rate(fps: float | None) -> Fraction:
    """Return a stored frame rate as the simplest fraction, also where it is close to zero."""
    if fps is None:
        return DEFAULT_FPS
    if fps < 1:
        return 1 / Fraction(1 / fps).limit_denominator(MAX_DENOMINATOR)
    return Fraction(fps).limit_denominator(MAX_DENOMINATOR)


def _decode_all(
    samples: Iterable[StoredSample], tokenizer: VisualTokenizer
) -> Iterator[UInt8[Tensor, "3 T H W"]]:
    """Yield the decoded clip of each sample."""
    for sample in samples:
        try:
            with torch.inference_mode():
                pixels = _decode(sample.record, tokenizer)
        except torch.OutOfMemoryError:
            raise
        except (ValueError, IndexError, RuntimeError) as error:
            key = sample.record["key"]
            raise ValueError(
                f"{sample.shard.path}: sample {key!r} cannot be decoded: {error}"
            ) from error
        yield to_uint8(pixels)[0].cpu()


def _decode(record: Record, tokenizer: VisualTokenizer) -> Tensor:
    """Return the pixels (1, 3, T, H, W) of a sample."""
    grids = [grid[:3] for grid in record["grid"]]
    layout = Layout.from_json({"grids": grids, "size": record["size"]})
    if "tokens" in record:
        tokens = torch.tensor([record["tokens"]], dtype=torch.int64, device=tokenizer.device)
        return tokenizer.decode_tokens(tokens, layout)
    values = np.frombuffer(record["mean"], dtype=np.float16).astype(np.float32)
    latents = torch.from_numpy(values).view(1, -1, *layout.grids[0])
    return tokenizer.decode_latents(latents.to(tokenizer.device, tokenizer.dtype), layout)
