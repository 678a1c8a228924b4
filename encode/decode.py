"""Decoding of stored tokens or latents to images and clips."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from ..data.codecs.write import write_image, write_video
from ..data.pixels import to_uint8
from ..progress import track
from ..tokenizers.fingerprint import fingerprint
from ..tokenizers.layout import Layout
from ..tokenizers.tokenizer import VisualTokenizer
from .shard import Record, read_records, read_shards

DEFAULT_FPS = Fraction(25)


def decode_shards(
    folder: Path,
    tokenizer: VisualTokenizer,
    output: Path,
    keys: Sequence[str] | None = None,
    show_progress: bool = False,
) -> list[Path]:
    """Decode all stored samples (or those with the given keys) to PNG and MP4 files.

    Args:
        folder: folder of the shards.
        tokenizer: the tokenizer that encoded them.
        output: folder of the decoded files, which are named by key.
        keys: keys of the samples to decode; None decodes all.
        show_progress: whether to show a progress bar on stderr.

    Returns:
        The files written, in the order of the samples.

    Raises:
        FileNotFoundError: the folder contains no shards.
        ValueError: the shards were made by another tokenizer, a key is unknown, or a file exists.
    """
    shards = read_shards(folder)
    made_by, given = shards[0][1]["fingerprint"], fingerprint(tokenizer)
    if made_by != given:
        raise ValueError(
            f"the shards in {folder} were made by tokenizer {shards[0][1]['tokenizer']!r} "
            f"(fingerprint {made_by[:12]}…), not by the given one ({given[:12]}…); "
            "decode with the tokenizer and the dtype that encoded them"
        )
    records = [record for path, _ in shards for record in read_records(path)]
    if keys:
        known = {record["key"] for record in records}
        unknown = [key for key in keys if key not in known]
        if unknown:
            raise ValueError(f"no sample called {', '.join(unknown)} among the {len(known)} stored")
        records = [record for record in records if record["key"] in set(keys)]
    targets = [_target(output, record) for record in records]
    taken = [path for path in targets if path.exists()]
    if taken:
        raise ValueError(f"{taken[0]} exists already; choose another --output")
    decoded = _decode_all(records, tokenizer)
    work = zip(records, targets, decoded, strict=True)
    for record, target, clip in track(work, "decoding", len(records), show_progress):
        if clip.shape[1] == 1:
            write_image(target, clip[:, 0])
        else:
            fps = Fraction(record["fps"]).limit_denominator(1001) if record["fps"] else DEFAULT_FPS
            write_video(target, clip.unbind(dim=1), fps)
    return targets


def _target(output: Path, record: Record) -> Path:
    """Return the file of a sample; a stored key must not lead out of the folder."""
    key = PurePosixPath(record["key"])
    if key.is_absolute() or ".." in key.parts:
        raise ValueError(f"the stored key {record['key']!r} would lead out of {output}; refused")
    return output / f"{key}.{'png' if record['size'][0] == 1 else 'mp4'}"


def _decode_all(
    records: Sequence[Record], tokenizer: VisualTokenizer
) -> Iterator[UInt8[Tensor, "3 T H W"]]:
    for record in records:
        layout = Layout.from_json(
            {"grids": [grid[:3] for grid in record["grid"]], "size": record["size"]}
        )
        with torch.inference_mode():
            pixels = _decode(record, layout, tokenizer)
        yield to_uint8(pixels)[0].cpu()


def _decode(record: Record, layout: Layout, tokenizer: VisualTokenizer) -> Tensor:
    if "tokens" in record:
        tokens = torch.tensor([record["tokens"]], dtype=torch.int64, device=tokenizer.device)
        return tokenizer.decode_tokens(tokens, layout)
    values = np.frombuffer(record["mean"], dtype=np.float16).astype(np.float32)
    latents = torch.from_numpy(values).view(1, -1, *layout.grids[0])
    return tokenizer.decode_latents(latents.to(tokenizer.device, tokenizer.dtype), layout)
