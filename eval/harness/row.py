"""Row: the scores of one subject with everything that they depend on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jaxtyping import Float32, UInt8
from torch import Tensor

from ...data.sources.media import BadFile
from ...tokenizers.code_statistics import CodeUse
from ..protocol import Protocol

Role = Literal["first", "worst", "median", "best"]


@dataclass(frozen=True)
class Picture:
    """One sample to look at.

    Attributes:
        key: of the sample.
        role: why it is shown: among the first, or by its PSNR.
        scores: the sample's values.
        original: 8 bit; of a long clip the frames of its strip (see `strip_frames`).
        reconstruction: the same frames, 8 bit.
        latents: of networks, one per grid.
    """

    key: str
    role: Role
    scores: Mapping[str, float]
    original: UInt8[Tensor, "3 T H W"] = field(repr=False)
    reconstruction: UInt8[Tensor, "3 T H W"] = field(repr=False)
    latents: tuple[Float32[Tensor, "C _ _ _"], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Row:
    """The scores of one subject.

    Attributes:
        tokenizer: name as it was given.
        num_samples: images or clips that were scored.
        size: side of the crops, in pixels.
        frames: frames per clip.
        protocol: the rules.
        metrics: every number by name; `psnr` in dB averages samples, `psnr_pooled` pools the error.
        intervals: bootstrap 95 % intervals of the means of per-sample values.
        unavailable: metrics that could not be computed, each with the reason.
        caveats: metrics that must not be read as they stand, each with the reason.
        bits_per_pixel: rate over unpadded pixels: nominal for tokenizers, true for codecs.
        empirical_bits_per_pixel: from the entropy of the indices, group by group.
        stored_bits_per_pixel: of a codec's files with their containers.
        values_per_pixel: latent values of continuous tokenizers.
        code_use: use of the codebooks over the whole evaluation, group by group; None without.
        code_ranks: per group, (rank, share of the vectors) of some codes, the most frequent first.
        parameters: number of weights.
        fingerprint: of the tokenizer; see `fingerprint.py`.
        settings: what else decides the result, in words: versions and options of a codec, path and
            tiles of a tokenizer.
        extractors: SHA-256 of the weights behind learned metrics, by extractor.
        device: where it ran.
        dtype: of its weights.
        seed: of injected noise and of random subsets.
        encode_samples_per_second: from batches that had the machine for themselves.
        decode_samples_per_second: likewise.
        peak_memory_bytes: of the accelerator, else of the whole process, metrics included.
        per_sample: each sample's key with its values.
        bad_files: files that could not be read, or are no images or videos.
        images: the first samples, and the worst, median and best ones.
        canonical: the row under the canonical protocol, where `protocol` is another one.
        parts: folder of its stored scores; `remove_partial_scores` removes it once the row is kept.
    """

    tokenizer: str
    num_samples: int
    size: int
    frames: int
    protocol: Protocol
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    unavailable: dict[str, str]
    caveats: dict[str, str]
    bits_per_pixel: float | None
    empirical_bits_per_pixel: float | None
    stored_bits_per_pixel: float | None
    values_per_pixel: float | None
    code_use: CodeUse | None
    code_ranks: tuple[tuple[tuple[int, float], ...], ...] = field(repr=False)
    parameters: int | None
    fingerprint: str | None
    settings: str | None
    extractors: dict[str, str]
    device: str
    dtype: str | None
    seed: int
    encode_samples_per_second: float | None
    decode_samples_per_second: float | None
    peak_memory_bytes: int | None
    per_sample: Sequence[dict[str, Any]] = field(repr=False)
    bad_files: Sequence[BadFile] = field(repr=False)
    pictures: Sequence[Picture] = field(repr=False)
    canonical: "Row | None" = field(default=None, repr=False)
    parts: Path | None = field(default=None, repr=False)


def with_canonical(rows: Sequence[Row]) -> Iterator[Row]:
    """Every row, and behind a preset's row its canonical one."""
    for row in rows:
        yield row
        if row.canonical is not None:
            yield row.canonical
