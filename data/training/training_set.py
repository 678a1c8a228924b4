"""The training data: endless, reproducible sequences of samples.

The samples of a group have one shape (frames, height, width); there is one group, unless images and
videos are mixed or samples have several lengths or sizes (`groups.py`). Each group has a sequence
of its own, in the order defined in `order.py`; crop, flip and start frame are drawn from (seed,
sample index).
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
from ..sources.media import READ_ERRORS, BadFile, MediaFile, bad_file
from .crop import CropRules, crop_frames
from .groups import Group, WeightedFiles, make_groups
from .order import SampleIndex, WeightedSchedule, file_index


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
        self.groups, self.unreadable = make_groups(sources, rules, seed, workers)
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
