"""Groups of training samples: the files of the sources, sorted by the batches they may be part of.

There is one group for every length and shape (frames, height, width) of samples; its share of the
steps is that of its kind of batch, divided among several shapes by their numbers of files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..sources.media import BadFile, MediaFile, MediaKind
from .batch_kind import BatchKind, Shape
from .buckets import sort_into_buckets
from .crop import CropRules
from .order import WeightedSchedule


@dataclass(frozen=True)
class WeightedFiles:
    """The files of one source and its weight.

    Attributes:
        files: images and videos of the source.
        weight: relative frequency of the source; None (for all sources) is its number of files.
    """

    files: tuple[MediaFile, ...]
    weight: float | None = None


@dataclass(frozen=True, kw_only=True)
class SampleGroup:
    """A group of samples of one shape.

    Attributes:
        frames: number of frames of a sample.
        shape: height and width of a sample.
        schedule: pool of each position.
        share: relative frequency of the steps of this group.
        batch_size: number of samples per device and micro-batch; None is that of the run.
    """

    frames: int
    shape: Shape
    schedule: WeightedSchedule
    share: float
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Group(SampleGroup):
    """A group of samples whose files are known.

    Attributes:
        pools: files of each source; a single pool if sources have no weights.
    """

    pools: tuple[tuple[MediaFile, ...], ...]


def make_groups(
    sources: Sequence[WeightedFiles], rules: CropRules, seed: int, workers: int
) -> tuple[tuple[Group, ...], tuple[BadFile, ...]]:
    """Make one group for each kind of batch and shape that has files.

    Args:
        sources: files to sample from, with the weights of their sources.
        rules: kinds of batches.
        seed: seed of the order.
        workers: number of processes that read the sizes of files, if shapes need them.

    Returns:
        The groups, and the files that are left out because their size cannot be read.

    Raises:
        ValueError: the sources have no file for one of the kinds.
    """
    groups: list[Group] = []
    unreadable: list[BadFile] = []
    sizes: dict[str, tuple[int, int] | BadFile] = {}
    for kind in rules.kinds:
        chosen = [_of_kind(source, kind.frames, rules) for source in sources]
        if not any(source.files for source in chosen):
            raise no_files_error(kind.frames, rules)
        sorted_sources = [sort_into_buckets(s.files, kind.shapes, workers, sizes) for s in chosen]
        unreadable += [bad for _, found in sorted_sources for bad in found]
        buckets = [shapes for shapes, _ in sorted_sources]
        for shape in kind.shapes:
            key = f"{seed}/{len(groups)}/sources"
            group = _group(kind, shape, chosen, buckets, key)
            groups += [group] if group.share else []
    return tuple(groups), tuple(unreadable)


def _of_kind(source: WeightedFiles, frames: int, rules: CropRules) -> WeightedFiles:
    """Select the files for samples of `frames` frames."""
    kind = kind_of_files(frames, rules)
    return WeightedFiles(
        tuple(file for file in source.files if kind is None or file.serves(kind)), source.weight
    )


def kind_of_files(frames: int, rules: CropRules) -> MediaKind | None:
    """Return the kind of files for samples of `frames` frames; None takes both.

    Single frames come from images, and from videos too where the run has no clips.
    """
    if not rules.has_clips:
        return None
    return "image" if frames == 1 else "video"


def _group(
    kind: BatchKind,
    shape: Shape,
    sources: Sequence[WeightedFiles],
    buckets: Sequence[Sequence[list[Shape]]],
    key: str,
) -> Group:
    """Make the group of a shape; a file with n shapes counts as 1/n file in each."""
    pools: list[tuple[MediaFile, ...]] = []
    weights: list[float] = []
    total = sum(_weight(source) for source in sources if source.files)
    for source, shapes in zip(sources, buckets, strict=True):
        here = [(f, len(s)) for f, s in zip(source.files, shapes, strict=True) if shape in s]
        if here:
            part = sum(1 / parts for _, parts in here) / len(source.files)
            pools.append(tuple(file for file, _ in here))
            weights.append(part * _weight(source) / total)
    schedule = WeightedSchedule(tuple(weights), key)
    if all(source.weight is None for source in sources):
        pools, schedule = [tuple(file for pool in pools for file in pool)], WeightedSchedule()
    return Group(
        frames=kind.frames,
        shape=shape,
        schedule=schedule,
        share=kind.share * sum(weights),
        batch_size=kind.batch_size,
        pools=tuple(pools),
    )


def _weight(source: WeightedFiles) -> float:
    return float(len(source.files)) if source.weight is None else source.weight


def no_files_error(frames: int, rules: CropRules) -> ValueError:
    """Return the error of sources that have no file for samples of this length."""
    if frames > 1:
        if rules.rows:
            return ValueError(
                f"data.buckets has clips of {frames} frames, which need videos, but the source "
                "contains only images; leave out the rows with frames > 1 or give clips"
            )
        return ValueError(
            f"data.frames={frames} needs videos, but the source contains only images; "
            "set data.frames=1 or give clips"
        )
    if rules.rows:
        return ValueError(
            "data.buckets has a row of images (frames: 1), but the source contains only videos; "
            "leave out the row or add images"
        )
    return ValueError(
        f"data.image_ratio={rules.image_ratio:g} needs images, but the source contains only "
        "videos; set data.image_ratio=0 or add images"
    )
