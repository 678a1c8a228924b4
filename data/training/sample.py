"""Reading one training sample: a crop of an image, or of a clip from a random start frame."""

import random
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from ..codecs.image import read_image, to_pil
from ..codecs.video import clip_frames
from ..codecs.video_index import VideoIndex, index_video
from ..sources.location import Location
from ..sources.media import READ_ERRORS, BadFile, MediaFile, bad_file, bad_lines
from .batch_kind import Shape
from .crop import CropRules, crop_frames


@dataclass(frozen=True)
class TrainingSample:
    """A clip, and the files before it in the sequence that could not be read."""

    clip: UInt8[Tensor, "3 T H W"]
    bad: tuple[BadFile, ...]


class SampleReader:
    """Reader of samples by the rules of a run.

    Args:
        rules: rules by which files are cropped to samples.
        cache_files: number of decoded files that are kept in memory.
        keep_indices: whether to keep the indices of videos, for files that are read again.
    """

    def __init__(self, rules: CropRules, cache_files: int = 0, keep_indices: bool = True) -> None:
        self.rules, self.cache = rules, FileCache(cache_files)
        self._index = _cached_index if keep_indices else index_video

    def read(
        self, file: MediaFile, frames: int, shape: Shape, rng: random.Random
    ) -> UInt8[Tensor, "3 T H W"]:
        """Read and crop one sample of a file.

        Args:
            file: an image or a video.
            frames: number of frames of the sample.
            shape: height and width of the sample.
            rng: source of the random choices.

        Raises:
            OSError: the file cannot be read.
            ValueError: the file is shorter than the sample, or its frames change their size.
        """
        with closing(self._frames(file, frames, rng)) as decoded:
            return crop_frames(decoded, shape, self.rules, rng)

    def read_first(
        self, files: Iterable[MediaFile], frames: int, shape: Shape, key: str
    ) -> TrainingSample:
        """Read one sample of the first file that can be read.

        Args:
            files: files to try one after the other.
            frames: number of frames of the sample.
            shape: height and width of the sample.
            key: seed of the random choices, the same whichever file is read.

        Raises:
            OSError: no file can be read.
        """
        bad: list[BadFile] = []
        for file in files:
            try:
                clip = self.read(file, frames, shape, random.Random(key))
            except READ_ERRORS as error:
                bad.append(bad_file(file.path, error))
                continue
            return TrainingSample(clip, tuple(bad))
        raise OSError(f"none of {len(bad)} training files in a row can be read:{bad_lines(bad)}")

    def _frames(
        self, file: MediaFile, count: int, rng: random.Random
    ) -> Generator[Image.Image, None, None]:
        """Yield the frames of one sample as images."""
        if count == 1 and file.kind == "image":
            yield self.cache.get(file, lambda: [read_image(file.location)])[0]
            return
        stride, rate = self.rules.stride, self.rules.rate
        index = self._index(file.location)
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
