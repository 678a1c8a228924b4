"""The training data: endless, reproducible sequences of samples.

The samples of a group have one shape (frames, height, width); there is one group, unless images and
videos are mixed or crops have several shapes. Each group has a sequence of its own, in the order
defined in `order.py`; crop, flip and start frame are drawn from (seed, sample index).
"""

import random
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ..codecs.image import read_image, to_pil
from ..codecs.video import clip_frames
from ..codecs.video_index import VideoIndex, index_video
from ..sources.location import Location
from ..sources.media import READ_ERRORS, BadFile, MediaFile, MediaKind, bad_file
from .buckets import Shape, sort_into_buckets
from .crop import CropRules, crop_frames
from .order import SampleIndex, WeightedSchedule, file_index


@dataclass(frozen=True)
class WeightedFiles:
    """The files of one source and its weight.

    Attributes:
        files: images and videos of the source.
        weight: relative frequency of the source; None (for all sources) is its number of files.
    """

    files: tuple[MediaFile, ...]
    weight: float | None = None


@dataclass(frozen=True)
class Group:
    """A group of samples of one shape.

    Attributes:
        frames: number of frames of a sample.
        shape: height and width of a sample.
        pools: files of each source; a single pool if sources have no weights.
        schedule: pool of each position.
        share: relative frequency of the steps of this group.
    """

    frames: int
    shape: Shape
    pools: tuple[tuple[MediaFile, ...], ...]
    schedule: WeightedSchedule
    share: float


@dataclass(frozen=True)
class TrainingSample:
    """A clip, and the files before it in the sequence that could not be read."""

    clip: UInt8[Tensor, "3 T H W"]
    bad: tuple[BadFile, ...]


class TrainingSet(Dataset[Tensor]):
    """Training samples by their index.

    Args:
        sources: files to sample from, with the weights of their sources.
        rules: rules by which files are cropped to samples.
        seed: seed of order and crops.
        cache_files: number of decoded files that each worker keeps in memory.
        workers: number of processes that read image sizes, if buckets need them.

    Attributes:
        groups: the groups of samples.
        schedule: group of each step.
        files: all files that samples are taken from.
        unreadable: files that are left out because their size cannot be read.
    """

    def __init__(
        self,
        sources: Sequence[WeightedFiles],
        rules: CropRules,
        seed: int,
        cache_files: int = 0,
        workers: int = 0,
    ) -> None:
        self.rules, self.seed = rules, seed
        self.cache = FileCache(cache_files)
        self.groups, self.unreadable = _groups(sources, rules, seed, workers)
        self.schedule = WeightedSchedule(
            tuple(group.share for group in self.groups), f"{seed}/groups"
        )
        pools = [pool for group in self.groups for pool in group.pools]
        self.files = tuple({file.path: file for pool in pools for file in pool}.values())

    def __getitem__(self, index: SampleIndex) -> UInt8[Tensor, "3 T H W"]:
        """Return the clip at an index."""
        return self.read(index).clip

    def read(self, index: SampleIndex) -> TrainingSample:
        """Read the sample at an index; a file that cannot be read is replaced by the next one.

        Raises:
            OSError: no file of the pool can be read.
        """
        pool, first = self.pool_at(index)
        bad: list[BadFile] = []
        for attempt in range(len(pool)):
            file = pool[(first + attempt) % len(pool)]
            rng = random.Random(f"{self.seed}/{index.group}/{index.position}")
            try:
                return TrainingSample(self._crop(file, self.groups[index.group], rng), tuple(bad))
            except READ_ERRORS as error:
                bad.append(bad_file(file.path, error))
        reasons = "; ".join(f"{b.path}: {b.reason}" for b in bad[:3])
        raise OSError(
            f"none of the {len(pool)} files of the training source can be read: {reasons}"
        )

    def pool_at(self, index: SampleIndex) -> tuple[tuple[MediaFile, ...], int]:
        """Return the pool that a sample comes from, and the position of its file in the pool."""
        group = self.groups[index.group]
        source, before = group.schedule.at(index.position)
        pool = group.pools[source]
        return pool, file_index(f"{self.seed}/{index.group}/{source}", before, len(pool))

    def _crop(self, file: MediaFile, group: Group, rng: random.Random) -> Tensor:
        with closing(self._frames(file, group.frames, rng)) as frames:
            return crop_frames(frames, group.shape, self.rules, rng)

    def _frames(
        self, file: MediaFile, count: int, rng: random.Random
    ) -> Generator[Image.Image, None, None]:
        """Yield the frames of one sample as images."""
        if count == 1 and file.kind == "image":
            yield self.cache.get(file, lambda: [read_image(file.location)])[0]
            return
        stride, rate = self.rules.stride, self.rules.rate
        index = _cached_index(file.location)
        span, length = (count - 1) * stride + 1, index.length(rate)
        if length < span:
            raise ValueError(f"{count} frames need a video of {span} frames, this has {length}")
        start = rng.randint(0, length - span)
        if self.cache.size:
            positions = range(start, start + span, stride)
            whole = clip_frames(file.location, length, fps=rate)
            # A rate above the file's own repeats frames: the stored ones are cached, each once
            if length > len(index):
                positions = [index.position(position, rate) for position in positions]
                whole = clip_frames(file.location, len(index), index=index)
            decoded = self.cache.get(file, lambda: [to_pil(frame) for frame in whole])
            yield from (decoded[position] for position in positions)
            return
        for frame in clip_frames(file.location, count, start, stride, rate, index):
            yield to_pil(frame)


class FileCache:
    """Cache of the most recently used decoded files, for sets that fit in memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._files: OrderedDict[str, list[Image.Image]] = OrderedDict()

    def get(self, file: MediaFile, decode: Callable[[], list[Image.Image]]) -> list[Image.Image]:
        """Return the decoded frames of a file, and decode them if they are not cached."""
        frames = self._files.pop(file.path, None) or decode()
        if self.size:
            self._files[file.path] = frames
            if len(self._files) > self.size:
                self._files.popitem(last=False)
        return frames


@lru_cache(maxsize=1024)
def _cached_index(location: Location) -> VideoIndex:
    return index_video(location)


# ---- from sources to groups ----------------------------------------------------------------------


def _groups(
    sources: Sequence[WeightedFiles], rules: CropRules, seed: int, workers: int
) -> tuple[tuple[Group, ...], tuple[BadFile, ...]]:
    """Make one group for each number of frames and shape that has files."""
    groups: list[Group] = []
    unreadable: list[BadFile] = []
    for frames, share in _frame_counts(rules):
        chosen = [_of_kind(source, frames, rules) for source in sources]
        if not any(source.files for source in chosen):
            raise _no_files_error(frames, rules)
        sorted_sources = [sort_into_buckets(s.files, rules.shapes, workers) for s in chosen]
        unreadable += [bad for _, found in sorted_sources for bad in found]
        buckets = [shapes for shapes, _ in sorted_sources]
        for shape in rules.shapes:
            key = f"{seed}/{len(groups)}/sources"
            group = _group(frames, shape, share, chosen, buckets, key)
            groups += [group] if group.share else []
    return tuple(groups), tuple(unreadable)


def _frame_counts(rules: CropRules) -> list[tuple[int, float]]:
    """Return the numbers of frames per sample, each with its share of the steps."""
    if rules.frames == 1:
        return [(1, 1.0)]
    counts = [(rules.frames, 1.0 - rules.image_ratio), (1, rules.image_ratio)]
    return [(frames, share) for frames, share in counts if share]


def _of_kind(source: WeightedFiles, frames: int, rules: CropRules) -> WeightedFiles:
    """Select the files for samples of `frames` frames; single frames also come from videos."""
    kind: MediaKind = "image" if frames == 1 else "video"
    either = rules.frames == 1
    return WeightedFiles(
        tuple(file for file in source.files if either or file.serves(kind)), source.weight
    )


def _group(
    frames: int,
    shape: Shape,
    share: float,
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
    if all(source.weight is None for source in sources):
        merged = tuple(file for pool in pools for file in pool)
        return Group(frames, shape, (merged,), WeightedSchedule(), share * sum(weights))
    return Group(
        frames, shape, tuple(pools), WeightedSchedule(tuple(weights), key), share * sum(weights)
    )


def _weight(source: WeightedFiles) -> float:
    return float(len(source.files)) if source.weight is None else source.weight


def _no_files_error(frames: int, rules: CropRules) -> ValueError:
    if frames > 1:
        return ValueError(
            f"data.frames={frames} needs videos, but the source contains only images; "
            "set data.frames=1 or give clips"
        )
    return ValueError(
        f"data.image_ratio={rules.image_ratio:g} needs images, but the source contains only "
        "videos; set data.image_ratio=0 or add images"
    )
