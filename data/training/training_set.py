"""The training data: endless, reproducible sequences of samples.

The samples of a group have one shape (frames, height, width); there is one group, unless images and
videos are mixed or samples have several lengths or sizes (`groups.py`). Each group has a sequence
of its own, in the order defined in `order.py`; crop, flip and start frame are drawn from (seed,
sample index).
"""

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import Dataset

from ..sources.media import MediaFile
from .crop import CropRules
from .groups import WeightedFiles, make_groups
from .order import SampleIndex, WeightedSchedule, file_index
from .sample import SampleReader, TrainingSample


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
        self.reader = SampleReader(rules, cache_files)
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
        group = self.groups[index.group]
        files = (pool[(first + attempt) % len(pool)] for attempt in range(len(pool)))
        key = f"{self.seed}/{index.group}/{index.position}"
        return self.reader.read_first(files, group.frames, group.shape, key)

    def first_clips(self, count: int) -> UInt8[Tensor, "B 3 T H W"]:
        """Return the first clips of the first group, for sample grids."""
        return torch.stack([self[SampleIndex(position)] for position in range(count)])

    def pool_at(self, index: SampleIndex) -> tuple[tuple[MediaFile, ...], int]:
        """Return the pool that a sample comes from, and the position of its file in the pool."""
        group = self.groups[index.group]
        source, before = group.schedule.at(index.position)
        pool = group.pools[source]
        return pool, file_index(f"{self.seed}/{index.group}/{source}", before, len(pool))
