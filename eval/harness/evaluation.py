"""An evaluation: the data, rules, metrics and options that all its reconstructors share."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...data.evaluation_set import EvaluationSet
from ...data.sources.media import BadFile, MediaKind
from ...data.sources.source import Listing, list_source
from ...data.sources.source_fingerprint import source_fingerprint
from ...distributed import rank_and_world_size, run_on_main_process
from ..metrics.catalog import MetricContext, Metrics, open_metrics
from ..metrics.names import check_metrics, default_metrics
from ..protocols.protocol import CANONICAL, Protocol, protocol_by_name
from .reference_statistics import ReferenceStatistics

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Options of an evaluation.

    Attributes:
        size: side of the center crops, in pixels.
        frames: frames per clip, 1 for images; None uses the protocol's default.
        batch_size: clips per batch.
        metrics: names of the metrics; None uses the default ones.
        limit: maximum number of files; None scores all.
        workers: number of processes that read files.
        device: device that metrics run on.
        seed: random seed of injected noise and of random subsets.
        force: whether to compute metrics of too few samples.
        fingerprints: whether to hash the weights of tokenizers.
        examples: whether rows keep examples to look at.
        cache: folder of reference statistics; None stores none.
        partial_scores: folder of the scores of an unfinished evaluation; None stores none.
        show_progress: whether to show a progress bar on stderr.
    """

    size: int
    frames: int | None
    batch_size: int
    metrics: Sequence[str] | None
    limit: int | None
    workers: int
    device: str
    seed: int
    force: bool
    fingerprints: bool
    examples: bool
    cache: Path | None
    partial_scores: Path | None
    show_progress: bool


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Data, rules and metrics of an evaluation, opened.

    Attributes:
        options: options of the evaluation.
        protocol: rules of the evaluation.
        dataset: the originals.
        skipped: files of the source that are neither images nor videos.
        metrics: opened metrics.
        references: statistics of the originals.
        source_version: fingerprint of the files; None if nothing is stored between runs.
        canonical: the same evaluation under the canonical protocol, if `protocol` is another one.
    """

    options: EvaluationOptions
    protocol: Protocol
    dataset: EvaluationSet
    skipped: Sequence[BadFile]
    metrics: Metrics
    references: ReferenceStatistics
    source_version: str | None
    canonical: "Evaluation | None"


def open_evaluation(
    source: str | Path | Listing, protocol: str, options: EvaluationOptions
) -> Evaluation:
    """List a source and open the metrics of an evaluation.

    Args:
        source: images or videos; see `list_source`.
        protocol: name of the rules.
        options: options of the evaluation.

    Raises:
        ValueError: an unknown metric or protocol, clips that are too long, or nothing to score.
    """
    check_metrics(options.metrics or ())
    rules = protocol_by_name(protocol)
    frames = rules.default_frames if options.frames is None else options.frames
    rules.check_frames(frames)
    listing = source if isinstance(source, Listing) else list_source(source)
    if options.show_progress:
        _warn_of_other_files(listing, "image" if frames == 1 else "video")
    evaluation = _open_under(rules, listing, frames, options)
    if rank_and_world_size()[0] == 0:
        for name, reason in evaluation.metrics.unavailable.items():
            log.warning("%s is unavailable: %s", name, reason)
    return evaluation


def _open_under(
    protocol: Protocol, listing: Listing, frames: int, options: EvaluationOptions
) -> Evaluation:
    """Open an evaluation under a protocol, and the canonical one beside that of a preset."""
    dataset = EvaluationSet(
        files=listing.files,
        size=options.size,
        frames=frames,
        limit=options.limit,
        resize=protocol.resize,
        fps=protocol.fps,
    )
    context = MetricContext(
        protocol=protocol,
        size=options.size,
        frames=frames,
        device=options.device,
        seed=options.seed,
        force=options.force,
    )
    names = default_metrics(frames) if options.metrics is None else options.metrics
    metrics = open_metrics(names, context)
    source_version = None
    if options.cache is not None or options.partial_scores is not None:
        source_version = run_on_main_process(lambda: source_fingerprint(dataset.files))
    canonical = None
    if not protocol.is_canonical:
        canonical = _open_under(CANONICAL, listing, frames, replace(options, examples=False))
    return Evaluation(
        options=options,
        protocol=protocol,
        dataset=dataset,
        skipped=listing.skipped,
        metrics=metrics,
        references=ReferenceStatistics(dataset, metrics, source_version, options.cache),
        source_version=source_version,
        canonical=canonical,
    )


def _warn_of_other_files(listing: Listing, kind: MediaKind) -> None:
    others = sum(not file.serves(kind) for file in listing.files)
    if others:
        log.warning("%d file(s) of %s are not %ss and are skipped", others, listing.source, kind)
