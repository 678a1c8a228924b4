"""The evaluation harness: the same pictures through every subject, per-sample values, one division.

A score never depends on batch size: squared errors and similarities are kept per frame and sample
in float64 and averaged once, at the end.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from ..component import did_you_mean
from ..data.evaluation_set import EvaluationSet, evaluation_batches
from ..data.media import BadFile, MediaFile
from ..data.source import Listing, list_source
from ..progress import track
from ..tokenizers.code_statistics import CodeStatistics, CodeUse
from ..tokenizers.tokenizer import VisualTokenizer
from .psnr import clip_psnr, psnr, squared_errors
from .ssim import WINDOW, clip_ssim
from .subjects.function import Function
from .subjects.opening import open_subjects
from .subjects.saved_tokenizer import Tokenizer
from .subjects.subject import Reconstruction, Subject

log = logging.getLogger(__name__)

CODEBOOK_METRICS = ("codebook_usage", "codebook_perplexity", "codebook_entropy")
METRICS = ("psnr", "ssim", *CODEBOOK_METRICS)
PICTURES_KEPT = 12

Scored = str | Subject | VisualTokenizer | Callable[[Tensor], Tensor]


@dataclass
class Row:
    """The scores of one subject.

    Attributes:
        tokenizer: name as it was given.
        num_samples: pictures or clips that were scored.
        size: side of the crops, in pixels.
        frames: frames per clip.
        metrics: PSNR in dB (`psnr` averages samples, `psnr_pooled` pools the error), SSIM; of
            discrete tokenizers the use of their codebooks, each the mean over groups (entropy in
            bits).
        unavailable: metrics that could not be computed, each with the reason.
        bits_per_pixel: nominal rate over unpadded pixels.
        code_use: use of the codebooks over the whole evaluation, group by group; None without.
        parameters: number of weights.
        fingerprint: of the tokenizer; see `fingerprint.py`.
        device: where it ran.
        dtype: of its weights.
        encode_samples_per_second: clips per second, reading not counted.
        decode_samples_per_second: likewise.
        per_sample: each sample's key with its values.
        bad_files: files that could not be read, or are no images or videos.
        pictures: the first clips, (3, T, H, W) 8 bit, for reports.
    """

    tokenizer: str
    num_samples: int
    size: int
    frames: int
    metrics: dict[str, float]
    unavailable: dict[str, str]
    bits_per_pixel: float | None
    code_use: CodeUse | None
    parameters: int | None
    fingerprint: str | None
    device: str
    dtype: str | None
    encode_samples_per_second: float | None
    decode_samples_per_second: float | None
    per_sample: list[dict[str, Any]] = field(repr=False)
    bad_files: list[BadFile] = field(repr=False)
    pictures: list[UInt8[Tensor, "3 T H W"]] = field(repr=False)


def evaluate(
    source: str | Path | Listing,
    tokenizers: Scored | Sequence[Scored],
    *,
    size: int = 256,
    frames: int = 1,
    batch_size: int = 8,
    metrics: Sequence[str] = METRICS,
    limit: int | None = None,
    workers: int = 0,
    device: str = "cpu",
    show_progress: bool = False,
) -> list[Row]:
    """Score tokenizers on the images (or, with `frames` > 1, the videos) of a source.

    Args:
        source: what to read; see `list_source`.
        tokenizers: names, tokenizers, or functions from pixels (B, 3, T, H, W) in [-1, 1] to
            pixels.
        size: side of the ADM centre crops, in pixels.
        frames: 1 scores images, more scores the first so many frames of videos.
        batch_size: clips per batch; changes speed and memory, not scores.
        metrics: which of psnr, ssim, codebook_usage, codebook_perplexity, codebook_entropy.
        limit: score at most so many files.
        workers: reading processes.
        device: where tokenizers given by name run.
        show_progress: whether to show a bar on stderr.

    Returns:
        One row per tokenizer, in order.

    Raises:
        ValueError: an unknown metric, nothing to score, or a size a tokenizer cannot take.
    """
    for name in metrics:
        if name not in METRICS:
            raise ValueError(
                f"metrics must be among {', '.join(METRICS)}, got {name!r}"
                f"{did_you_mean(name, METRICS)}"
            )
    if "ssim" in metrics and size < WINDOW:
        raise ValueError(f"size must be at least {WINDOW} pixels for SSIM, got {size}")
    listing = source if isinstance(source, Listing) else list_source(source)
    dataset = EvaluationSet(listing.files, size, frames, limit)
    kind = "image" if frames == 1 else "video"
    others = sum(not file.serves(kind) for file in listing.files)
    if others and show_progress:
        log.warning("%d file(s) of %s are no %ss and are not scored", others, source, kind)
    single = isinstance(tokenizers, str | Subject | VisualTokenizer) or callable(tokenizers)
    scored: Any = [tokenizers] if single else tokenizers
    subjects = [subject for item in scored for subject in _subjects(item, device)]
    for subject in subjects:
        subject.check([file.key for file in dataset.files])
    return [
        _score(subject, dataset, listing.skipped, batch_size, metrics, workers, show_progress)
        for subject in subjects
    ]


def originals(source: str | Path | Listing, size: int, frames: int, limit: int | None) -> Row:
    """The pictures themselves as a row, for reports."""
    shown = PICTURES_KEPT if limit is None else min(limit, PICTURES_KEPT)
    return evaluate(source, "identity", size=size, frames=frames, limit=shown, metrics=())[0]


def _subjects(item: Scored, device: str) -> tuple[Subject, ...]:
    if isinstance(item, Subject):
        return (item,)
    if isinstance(item, VisualTokenizer):
        return (Tokenizer(str(item.config.get("_name_or_path") or "tokenizer"), item),)
    if isinstance(item, str):
        return open_subjects(item, device)
    return (Function(getattr(item, "__name__", "function"), item),)


def _score(
    subject: Subject,
    dataset: EvaluationSet,
    skipped: Sequence[BadFile],
    batch_size: int,
    metrics: Sequence[str],
    workers: int,
    show_progress: bool,
) -> Row:
    sheet = _Sheet(metrics, subject)
    sheet.bad_files += skipped
    batches = evaluation_batches(dataset, batch_size, workers)
    total = -(-len(dataset) // batch_size)
    for files, clips, bad in track(batches, f"scoring {subject.name}", total, show_progress):
        sheet.bad_files += bad
        if clips is not None:
            sheet.add(files, clips, subject.reconstruct(clips, [file.key for file in files]))
    if not sheet.per_sample:
        reasons = "; ".join(f"{bad.path}: {bad.reason}" for bad in sheet.bad_files[:3])
        raise ValueError(f"none of the {len(dataset)} files could be read ({reasons})")
    return sheet.row(subject, dataset)


class _Sheet:
    """The values of one subject, collected batch by batch and divided once."""

    def __init__(self, metrics: Sequence[str], subject: Subject) -> None:
        self.metrics = [name for name in metrics if name not in CODEBOOK_METRICS]
        self.codebook_metrics = [name for name in metrics if name in CODEBOOK_METRICS]
        self.statistics = CodeStatistics(subject.group_sizes) if subject.group_sizes else None
        self.per_sample: list[dict[str, Any]] = []
        self.bad_files: list[BadFile] = []
        self.pictures: list[Tensor] = []
        self.frame_errors: list[float] = []
        self.rates: list[float] = []
        self.encode_seconds = self.decode_seconds = 0.0

    def add(self, files: Sequence[MediaFile], clips: Tensor, result: Reconstruction) -> None:
        """Score one batch."""
        errors = squared_errors(clips, result.clips).tolist()
        samples: list[dict[str, Any]] = [{"key": file.key} for file in files]
        if "psnr" in self.metrics:
            for sample, frames in zip(samples, errors, strict=True):
                sample["psnr"] = clip_psnr(frames)
        if "ssim" in self.metrics:
            for sample, value in zip(samples, clip_ssim(clips, result.clips), strict=True):
                sample["ssim"] = value.item()
        self.per_sample += samples
        self.frame_errors += [error for frames in errors for error in frames]
        self.pictures += list(result.clips[: max(0, PICTURES_KEPT - len(self.pictures))])
        self.rates += result.bits_per_pixel or ()
        if self.statistics:
            for grid in result.indices or ():
                self.statistics.add(grid)
            self.statistics.num_pixels += clips[:, 0].numel()
        self.encode_seconds += result.encode_seconds or 0.0
        self.decode_seconds += result.decode_seconds or 0.0

    def row(self, subject: Subject, dataset: EvaluationSet) -> Row:
        """Divide."""
        count = len(self.per_sample)
        means = {name: sum(s[name] for s in self.per_sample) / count for name in self.metrics}
        if "psnr" in means:
            means["psnr_pooled"] = psnr(sum(self.frame_errors) / len(self.frame_errors))
        use = self.statistics.use() if self.statistics else None
        if use:
            means |= {name: use.means[name] for name in self.codebook_metrics}
        return Row(
            tokenizer=subject.name,
            num_samples=count,
            size=dataset.size,
            frames=dataset.frames,
            metrics=means,
            unavailable={name: "has no codebook" for name in self.codebook_metrics if use is None},
            bits_per_pixel=sum(self.rates) / len(self.rates) if self.rates else None,
            code_use=use,
            parameters=subject.parameters,
            fingerprint=subject.fingerprint,
            device=subject.device,
            dtype=subject.dtype,
            encode_samples_per_second=_per_second(count, self.encode_seconds),
            decode_samples_per_second=_per_second(count, self.decode_seconds),
            per_sample=self.per_sample,
            bad_files=self.bad_files,
            pictures=self.pictures,
        )


def _per_second(count: int, seconds: float) -> float | None:
    return count / seconds if seconds else None
