"""The training data: what stands at each position of an endless, reproducible sequence of samples.

Position p of the sequence is the (p mod n)-th file of epoch p // n, each epoch shuffled by (seed,
epoch). Crop, flip and start frame are drawn from (seed, p). So a batch is a pure function of the
seed, the step and the world size: it does not depend on workers, and resuming is starting at step
k.
"""

import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .image import read_image, to_tensor
from .media import MediaFile
from .resize import adm_resize
from .video import count_frames, read_clip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CropRules:
    """How a training sample is cut from a file.

    Attributes:
        size: side of the square crop, in pixels.
        frames: frames per clip; 1 takes images, and single frames of videos.
        stride: step between the frames of a clip.
        short_side: the picture's short side before cropping; None keeps its own, but at least
            `size`.
        flip: whether half of the samples are mirrored.
    """

    size: int
    frames: int = 1
    stride: int = 1
    short_side: int | None = None
    flip: bool = True


class TrainingSet(Dataset[Tensor]):
    """Crops by position in the endless sequence.

    Args:
        files: images and videos to draw from.
        rules: how a sample is cut.
        seed: seed of order and crops.
        cache_files: how many decoded files each worker keeps in memory.
    """

    def __init__(
        self, files: Sequence[MediaFile], rules: CropRules, seed: int, cache_files: int = 0
    ) -> None:
        self.files = tuple(f for f in files if f.kind == "video" or rules.frames == 1)
        if not self.files:
            raise ValueError(
                f"data.frames={rules.frames} needs videos, but the source holds only images; "
                "set data.frames=1 or give clips"
            )
        self.rules, self.seed = rules, seed
        self.cache = FileCache(cache_files)
        self._lengths: dict[str, int] = {}

    def __getitem__(self, position: int) -> UInt8[Tensor, "3 T H W"]:
        """The sample at a position; a file that cannot be read gives way to the next one, aloud."""
        index = file_index(self.seed, position, len(self.files))
        for attempt in range(len(self.files)):
            file = self.files[(index + attempt) % len(self.files)]
            try:
                return self._cut(file, random.Random(f"{self.seed}/{position}"))
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                log.warning("left out %s: %s (%s)", file.path, error, type(error).__name__)
        raise OSError(f"none of the {len(self.files)} files of the training source could be read")

    def _cut(self, file: MediaFile, rng: random.Random) -> Tensor:
        rules = self.rules
        frames = self._frames(file, rng)
        short_side = rules.short_side or max(rules.size, min(frames[0].size))
        if min(frames[0].size) != short_side:
            frames = [adm_resize(frame, short_side) for frame in frames]
        width, height = frames[0].size
        left = rng.randint(0, width - rules.size)
        top = rng.randint(0, height - rules.size)
        box = (left, top, left + rules.size, top + rules.size)
        clip = torch.stack([to_tensor(frame.crop(box)) for frame in frames], dim=1)
        return clip.flip(-1) if rules.flip and rng.random() < 0.5 else clip

    def _frames(self, file: MediaFile, rng: random.Random) -> list[Image.Image]:
        """The frames of one sample, as pictures."""
        if file.kind == "image":
            return self.cache.get(file, lambda: [read_image(file.path)])
        rules = self.rules
        span = (rules.frames - 1) * rules.stride + 1
        length = self._length(file)
        if length < span:
            raise ValueError(f"{rules.frames} frames need a video of {span}, this one has {length}")
        start = rng.randint(0, length - span)
        if self.cache.size:
            clip = self.cache.get(file, lambda: pictures(read_clip(file.path, length)))
            return clip[start : start + span : rules.stride]
        return pictures(read_clip(file.path, rules.frames, start, rules.stride))

    def _length(self, file: MediaFile) -> int:
        if file.key not in self._lengths:
            self._lengths[file.key] = count_frames(file.path)
        return self._lengths[file.key]


class FileCache:
    """The most recently used decoded files, for sets small enough to stay in memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._files: OrderedDict[str, list[Image.Image]] = OrderedDict()

    def get(self, file: MediaFile, decode: Callable[[], list[Image.Image]]) -> list[Image.Image]:
        """The decoded frames of a file."""
        frames = self._files.pop(file.key, None) or decode()
        if self.size:
            self._files[file.key] = frames
            if len(self._files) > self.size:
                self._files.popitem(last=False)
        return frames


@dataclass(frozen=True)
class BatchPositions:
    """The positions of every batch from one step to another, on one rank.

    Step s of a run takes positions [s * world_size * batch_size, ...), split evenly over the ranks.
    """

    batch_size: int
    start_step: int
    stop_step: int
    rank: int = 0
    world_size: int = 1

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.start_step, self.stop_step):
            first = (step * self.world_size + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))

    def __len__(self) -> int:
        return self.stop_step - self.start_step


def training_loader(
    dataset: TrainingSet, positions: BatchPositions, workers: int
) -> DataLoader[Tensor]:
    """Batches (B, 3, T, H, W) uint8, one per step, in order."""
    # A DataLoader takes any iterable of index lists; its annotation asks for less than it accepts.
    return DataLoader(
        dataset,
        batch_sampler=positions,  # pyright: ignore[reportArgumentType]
        num_workers=workers,
        persistent_workers=False,
        prefetch_factor=4 if workers else None,
    )


def file_index(seed: int, position: int, num_files: int) -> int:
    """Which file stands at a position: every epoch is a permutation of all files."""
    epoch, offset = divmod(position, num_files)
    return _epoch_order(seed, epoch, num_files)[offset]


@lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, num_files: int) -> tuple[int, ...]:
    order = list(range(num_files))
    random.Random(f"{seed}/epoch {epoch}").shuffle(order)
    return tuple(order)


def pictures(clip: UInt8[Tensor, "3 T H W"]) -> list[Image.Image]:
    """The frames of a clip as pictures."""
    return [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in clip.unbind(dim=1)]
