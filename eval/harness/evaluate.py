"""The evaluation harness: the same images through every subject, under the rules of a protocol.

Given the same reconstructed pixels, a number depends neither on batch size nor on the order of the
source nor on the number of processes: values are kept per sample, moments are summed in float64,
and both are divided once.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...data.evaluation_set import EvaluationSet
from ...data.sources.source import Listing, list_source
from ...data.sources.source_fingerprint import source_fingerprint
from ...distributed import rank_and_world_size, run_on_main_process
from ...tokenizers.tokenizer import VisualTokenizer
from ..metrics.catalog import MetricContext, check_metrics, default_metrics, open_metrics
from ..protocol import CANONICAL, PROTOCOLS, Protocol
from ..reconstructors.catalog import open_reconstructors
from ..reconstructors.function import Function
from ..reconstructors.reconstructor import Reconstructor
from ..reconstructors.saved_tokenizer import TokenizerReconstructor
from ..reconstructors.unique_names import told_apart
from .evaluation import Evaluation
from .reference_statistics import ReferenceStatistics
from .row import Row
from .scoring import score

log = logging.getLogger(__name__)

Scored = str | Path | Reconstructor | VisualTokenizer | Callable[[Tensor], Tensor]


def evaluate(
    source: str | Path | Listing,
    tokenizers: Scored | Sequence[Scored],
    *,
    size: int = 256,
    frames: int | None = None,
    batch_size: int = 8,
    metrics: Sequence[str] | None = None,
    protocol: str = CANONICAL.name,
    limit: int | None = None,
    workers: int = 0,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    force: bool = False,
    fingerprints: bool = True,
    pictures: bool = True,
    cache: Path | None = None,
    parts: Path | None = None,
    show_progress: bool = False,
    on_row: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Score tokenizers on the images (or, with `frames` > 1, the videos) of a source.

    With `torch.distributed` initialised, every rank must call this with the same arguments: the
    samples are shared out, and every rank returns the rows of all of them.

    Args:
        source: what to read; see `list_source`.
        tokenizers: names, folders, tokenizers, or functions from pixels (B, 3, T, H, W) in [-1, 1]
            to pixels.
        size: side of the centre crops, in pixels.
        frames: 1 scores images, more scores the first so many frames of videos; None takes what the
            protocol usually takes.
        batch_size: clips per batch; changes speed and memory, not scores.
        metrics: names from `METRICS`; None takes the usual ones.
        protocol: name of the rules; under others than our own, the rows also carry ours.
        limit: score at most so many files.
        workers: reading processes.
        device: where metrics run, and tokenizers given by name.
        dtype: of the weights of tokenizers given by name; the protocols mean float32.
        seed: of injected noise and of random subsets.
        force: compute distances of too few samples, too.
        fingerprints: whether the weights of tokenizers are hashed, which takes a moment.
        images: whether the rows keep images to look at.
        cache: folder of statistics of originals, for this and later evaluations.
        parts: folder where scores are kept while they come: called again with the same arguments,
            an evaluation that was stopped goes on from them. `remove_partial_scores` removes
            those of finished rows.
        show_progress: whether to show a bar on stderr.
        on_row: called with every row as it comes.

    Returns:
        One row per tokenizer, in order, none named like another.

    Raises:
        ValueError: an unknown metric or protocol, nothing to score, or a size a tokenizer cannot
            take.
        TypeError: something that is none of these tokenizers.
    """
    several = isinstance(tokenizers, Iterable) and not isinstance(tokenizers, str | nn.Module)
    scored: Any = tokenizers if several else [tokenizers]
    check_metrics(metrics or ())
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    rules = PROTOCOLS[protocol]
    clip_frames = rules.default_frames if frames is None else frames
    rules.check_frames(clip_frames)
    listing = source if isinstance(source, Listing) else list_source(source)
    if show_progress:
        _warn_of_others(listing, "image" if clip_frames == 1 else "video")
    names = default_metrics(clip_frames) if metrics is None else tuple(metrics)

    def under(protocol: Protocol, with_pictures: bool) -> Evaluation:
        dataset = EvaluationSet(
            listing.files, size, clip_frames, limit, protocol.resize, protocol.fps
        )
        opened = open_metrics(
            names, MetricContext(protocol, size, clip_frames, device, seed, force)
        )
        wanted = cache is not None or parts is not None
        version = run_on_main_process(lambda: source_fingerprint(dataset.files) if wanted else None)
        references = ReferenceStatistics(dataset, opened, version, cache)
        return Evaluation(
            dataset, listing.skipped, protocol, opened, references, batch_size, workers, device,
            seed, fingerprints, with_pictures, show_progress, version, parts,
        )  # fmt: skip

    own = under(rules, pictures)
    if rank_and_world_size()[0] == 0:
        for name, reason in own.metrics.unavailable.items():
            log.warning("%s is unavailable: %s", name, reason)
    canonical = None if rules.is_canonical else under(CANONICAL, False)
    reconstructors = told_apart([one for item in scored for one in _subjects(item, device, dtype)])
    for reconstructor in reconstructors:
        reconstructor.check([file.key for file in own.dataset.files])
    rows: list[Row] = []
    for row in _rows(reconstructors, own, canonical):
        rows.append(row)
        if on_row is not None:
            on_row(row)
    return rows


def _rows(
    reconstructors: Sequence[Reconstructor], own: Evaluation, canonical: Evaluation | None
) -> Iterator[Row]:
    """One row per subject, as they come."""
    for reconstructor in reconstructors:
        row = score(reconstructor, own)
        # Stored reconstructions are of the crops that one protocol makes, and of no others.
        if canonical is not None and reconstructor.accepts_any_input:
            row = replace(row, canonical=score(reconstructor, canonical))
        yield row


def _subjects(item: Scored, device: str, dtype: torch.dtype) -> tuple[Reconstructor, ...]:
    if isinstance(item, Reconstructor):
        return (item,)
    if isinstance(item, VisualTokenizer):
        return (TokenizerReconstructor(str(item.config.get("_name_or_path") or "tokenizer"), item),)
    if isinstance(item, str | Path):
        return open_reconstructors(str(item), device, dtype)
    if not callable(item):
        raise TypeError(
            "a tokenizer is a name, a folder, a VisualTokenizer, or a function of pixels, "
            f"got {item!r}"
        )
    return (Function(getattr(item, "__name__", "function"), item),)


def _warn_of_others(listing: Listing, kind: Any) -> None:
    others = sum(not file.serves(kind) for file in listing.files)
    if others:
        log.warning("%d file(s) of %s are no %ss and are not scored", others, listing.source, kind)
