"""The training data: what stands at each place of endless, reproducible sequences of samples.

A group holds samples of one shape (frames, height, width); there is one unless images and videos
are mixed or crops have several shapes. Each group has a sequence of its own, in the order that
`order.py` defines; crop, flip and start frame are drawn from (seed, place).
"""

import random
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ..codecs.image import read_image, to_picture
from ..codecs.video import Frame, clip_frames, read_clip
from ..codecs.video_index import VideoIndex, index_video
from ..sources.location import Location
from ..sources.media import READ_ERRORS, BadFile, MediaFile, MediaKind, bad_file
from .buckets import Shape, sort_into_buckets
from .crop import CropRules, crop_frames
from .order import SampleIndex, WeightedSchedule, file_index


@dataclass(frozen=True)
class WeightedFiles:
    """The files of one source, and how often it is drawn.

    Attributes:
        files: images and videos.
        weight: in proportion to the other sources; None, for all of them, counts files.
    """

    files: tuple[MediaFile, ...]
    weight: float | None = None


@dataclass(frozen=True)
class Group:
    """Samples of one shape.

    Attributes:
        frames: frames of a sample.
        shape: its height and width.
        pools: files per source; one pool where sources have no weights.
        draws: which pool each position draws from.
        share: how many of the steps draw this group, in proportion to the others.
    """

    frames: int
    shape: Shape
    pools: tuple[tuple[MediaFile, ...], ...]
    draws: WeightedSchedule
    share: float


@dataclass(frozen=True)
class TrainingSample:
    """A clip, and the files that should have stood in its place but could not be read."""

    clip: UInt8[Tensor, "3 T H W"]
    bad: tuple[BadFile, ...]


class TrainingSet(Dataset[Tensor]):
    """Crops by place.

    Args:
        sources: files to draw from, with their weights.
        rules: how a sample is cut.
        seed: seed of order and crops.
        cache_files: how many decoded files each worker keeps in memory.
        workers: processes that read image sizes, where buckets need them.

    Attributes:
        groups: the groups of samples.
        schedule: which group each step draws.
        files: all files that are drawn from.
        unreadable: files left out because not even their size could be read.
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

    def __getitem__(self, place: SampleIndex) -> UInt8[Tensor, "3 T H W"]:
        """The clip at a place."""
        return self.read(place).clip

    def file_at(self, place: SampleIndex) -> MediaFile:
        """The file that stands at a place."""
        pool, index = self._draw(place)
        return pool[index]

    def read(self, place: SampleIndex) -> TrainingSample:
        """The sample at a place; a file that cannot be read gives way to the next one.

        Raises:
            OSError: no file of the pool can be read.
        """
        pool, index = self._draw(place)
        bad: list[BadFile] = []
        for attempt in range(len(pool)):
            file = pool[(index + attempt) % len(pool)]
            rng = random.Random(f"{self.seed}/{place.group}/{place.position}")
            try:
                return TrainingSample(self._cut(file, self.groups[place.group], rng), tuple(bad))
            except READ_ERRORS as error:
                bad.append(bad_file(file.path, error))
        reasons = "; ".join(f"{b.path}: {b.reason}" for b in bad[:3])
        raise OSError(
            f"none of the {len(pool)} files of the training source can be read: {reasons}"
        )

    def _draw(self, place: SampleIndex) -> tuple[tuple[MediaFile, ...], int]:
        group = self.groups[place.group]
        source, before = group.draws.at(place.position)
        pool = group.pools[source]
        return pool, file_index(f"{self.seed}/{place.group}/{source}", before, len(pool))

    def _cut(self, file: MediaFile, group: Group, rng: random.Random) -> Tensor:
        with closing(self._frames(file, group.frames, rng)) as frames:
            return crop_frames(frames, group.shape, self.rules, rng)

    def _frames(
        self, file: MediaFile, count: int, rng: random.Random
    ) -> Generator[Image.Image, None, None]:
        """The frames of one sample, as images, one at a time."""
        if count == 1 and file.kind == "image":
            yield self.cache.get(file, lambda: [read_image(file.location)])[0]
            return
        stride, rate = self.rules.stride, self.rules.rate
        index = _cached_index(file.location)
        span, length = (count - 1) * stride + 1, index.length(rate)
        if length < span:
            raise ValueError(f"{count} frames need a video of {span}, this one has {length}")
        start = rng.randint(0, length - span)
        if self.cache.size:
            decoded = self.cache.get(
                file, lambda: [to_picture(f) for f in _whole(file.location, length, self.rules)]
            )
            yield from decoded[start : start + span : stride]
            return
        for frame in clip_frames(file.location, count, start, stride, rate, index):
            yield to_picture(frame)


class FileCache:
    """The most recently used decoded files, for sets small enough to stay in memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._files: OrderedDict[str, list[Image.Image]] = OrderedDict()

    def get(self, file: MediaFile, decode: Callable[[], list[Image.Image]]) -> list[Image.Image]:
        """The decoded frames of a file."""
        frames = self._files.pop(file.path, None) or decode()
        if self.size:
            self._files[file.path] = frames
            if len(self._files) > self.size:
                self._files.popitem(last=False)
        return frames


def _whole(location: Location, length: int, rules: CropRules) -> Iterator[Frame]:
    return iter(read_clip(location, length, fps=rules.rate).unbind(dim=1))


@lru_cache(maxsize=1024)
def _cached_index(location: Location) -> VideoIndex:
    return index_video(location)


# ---- from sources to groups ----------------------------------------------------------------------


def _groups(
    sources: Sequence[WeightedFiles], rules: CropRules, seed: int, workers: int
) -> tuple[tuple[Group, ...], tuple[BadFile, ...]]:
    """One group per kind and shape that has files."""
    groups: list[Group] = []
    unreadable: list[BadFile] = []
    for frames, share in _kinds(rules):
        chosen = [_of_kind(source, frames, rules) for source in sources]
        if not any(source.files for source in chosen):
            raise _nothing(frames, rules)
        sorted_sources = [sort_into_buckets(s.files, rules.shapes, workers) for s in chosen]
        unreadable += [bad for _, found in sorted_sources for bad in found]
        places = [shapes for shapes, _ in sorted_sources]
        for shape in rules.shapes:
            key = f"{seed}/{len(groups)}/sources"
            group = _group(frames, shape, share, chosen, places, key)
            groups += [group] if group.share else []
    return tuple(groups), tuple(unreadable)


def _kinds(rules: CropRules) -> list[tuple[int, float]]:
    """Frames per sample, and the share of the steps."""
    if rules.frames == 1:
        return [(1, 1.0)]
    kinds = [(rules.frames, 1.0 - rules.image_ratio), (1, rules.image_ratio)]
    return [(frames, share) for frames, share in kinds if share]


def _of_kind(source: WeightedFiles, frames: int, rules: CropRules) -> WeightedFiles:
    """What a source has for samples of so many frames; videos give single frames as well."""
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
    places: Sequence[Sequence[list[Shape]]],
    key: str,
) -> Group:
    """The group of a shape: a file that goes to several shapes counts as a part of one."""
    pools: list[tuple[MediaFile, ...]] = []
    weights: list[float] = []
    total = sum(_weight(source) for source in sources if source.files)
    for source, shapes in zip(sources, places, strict=True):
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


def _nothing(frames: int, rules: CropRules) -> ValueError:
    if frames > 1:
        return ValueError(
            f"data.frames={frames} needs videos, but the source holds only images; "
            "set data.frames=1 or give clips"
        )
    return ValueError(
        f"data.image_ratio={rules.image_ratio:g} needs images, but the source holds only videos; "
        "set data.image_ratio=0 or add images"
    )
