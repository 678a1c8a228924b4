"""Training data that is streamed from tar shards, for sources with too many shards to index.

Batches have the shapes and sizes of an indexed set, chosen by the same schedules of (seed, step);
crop, flip and start frame are drawn from (seed, sample index) as well. The files, however, come in
the order in which each reader meets them (`shard_files.py`). This order is a function of (seed,
first step, ranks, workers): a run that resumes begins a new pass over the shards, in an order of
its own, so some files are seen again early and others later than without the interruption.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from ..sources.media import MediaKind
from .batch_kind import check_one_aspect
from .crop import CropRules
from .groups import SampleGroup, kind_of_files, no_files_error
from .order import BatchPositions, SampleIndex, WeightedSchedule
from .sample import SampleReader, TrainingSample
from .shard_files import ShardFiles, ShardPool

# Number of files that each reader keeps in memory to draw from, unless the run says otherwise.
DEFAULT_BUFFER = 1000

# Number of unreadable files in a row after which a reader gives up.
MAX_ATTEMPTS = 1000


@dataclass(frozen=True)
class WeightedShards:
    """The shards of one source and its weight.

    Attributes:
        shards: paths or URLs of the source.
        kinds: kinds of media in it.
        weight: relative frequency of the source; None only for a single source.
    """

    shards: tuple[str, ...]
    kinds: frozenset[MediaKind]
    weight: float | None = None


@dataclass(frozen=True, kw_only=True)
class StreamedGroup(SampleGroup):
    """A group of samples whose files are streamed.

    Attributes:
        pools: shards of each source.
    """

    pools: tuple[ShardPool, ...]


class StreamedSet:
    """Training samples from shards that are streamed.

    Args:
        sources: shards to sample from, with the weights of their sources.
        rules: rules by which files are cropped to samples.
        seed: seed of order and crops.
        buffer: number of files that each reader keeps in memory, of each source and kind of file.

    Attributes:
        groups: the groups of samples.
        schedule: group of each step.
    """

    def __init__(
        self,
        sources: Sequence[WeightedShards],
        rules: CropRules,
        seed: int,
        buffer: int = DEFAULT_BUFFER,
    ) -> None:
        self.rules, self.seed, self.buffer = rules, seed, buffer
        self.groups = _make_groups(sources, rules, seed)
        self.schedule = WeightedSchedule(
            tuple(group.share for group in self.groups), f"{seed}/groups"
        )

    def first_clips(self, count: int) -> UInt8[Tensor, "B 3 T H W"]:
        """Return the first clips of the first group, unshuffled, for sample grids."""
        stream = SampleStream(self, f"{self.seed}/0", reader=0, num_readers=1, buffer=1)
        samples = [stream.read(SampleIndex(position)) for position in range(count)]
        return torch.stack([sample.clip for sample in samples])


def _make_groups(
    sources: Sequence[WeightedShards], rules: CropRules, seed: int
) -> tuple[StreamedGroup, ...]:
    """Make one group for each kind of batch and shape.

    Raises:
        ValueError: the sources have no file for one of the kinds, or a kind has shapes of several
            aspect ratios.
    """
    groups: list[StreamedGroup] = []
    for kind in rules.kinds:
        check_one_aspect(kind)
        media = kind_of_files(kind.frames, rules)
        chosen = [source for source in sources if media is None or media in source.kinds]
        if not chosen:
            raise no_files_error(kind.frames, rules)
        pools = tuple(ShardPool(source.shards, media) for source in chosen)
        weights = tuple(1.0 if source.weight is None else source.weight for source in chosen)
        for shape in kind.shapes:
            group = StreamedGroup(
                frames=kind.frames,
                shape=shape,
                schedule=WeightedSchedule(weights, f"{seed}/{len(groups)}/sources"),
                share=kind.share / len(kind.shapes),
                batch_size=kind.batch_size,
                pools=pools,
            )
            groups.append(group)
    return tuple(groups)


class SampleStream:
    """The samples of one reader.

    Args:
        dataset: the training set.
        key: seed of the order of files.
        reader: number of this reader.
        num_readers: number of readers that divide the shards among them.
        buffer: number of files in memory, of each source and kind of file.
    """

    def __init__(
        self, dataset: StreamedSet, key: str, *, reader: int, num_readers: int, buffer: int
    ) -> None:
        self._dataset = dataset
        self._samples = SampleReader(dataset.rules, keep_indices=False)
        pools = dict.fromkeys(pool for group in dataset.groups for pool in group.pools)
        self._files = {
            pool: ShardFiles(
                pool, f"{key}/{number}", reader=reader, num_readers=num_readers, buffer=buffer
            )
            for number, pool in enumerate(pools)
        }

    def read(self, index: SampleIndex) -> TrainingSample:
        """Read the next sample; a file that cannot be read is replaced by the next one.

        Raises:
            OSError: no file can be read.
        """
        group = self._dataset.groups[index.group]
        files = self._files[group.pools[group.schedule.at(index.position)[0]]]
        key = f"{self._dataset.seed}/{index.group}/{index.position}"
        sample = self._samples.read_first(
            islice(files, MAX_ATTEMPTS), group.frames, group.shape, key
        )
        damaged, files.bad = files.bad, []
        return replace(sample, bad=(*damaged, *sample.bad))


class StreamedBatches(IterableDataset[list[TrainingSample]]):
    """The batches of one rank, each as a list of samples, in the order of their positions.

    A `DataLoader` takes batches from its workers in turn, so worker w of W reads every W-th batch
    from batch w on.

    Args:
        dataset: the training set.
        positions: the sample indices of every batch.
    """

    def __init__(self, dataset: StreamedSet, positions: BatchPositions) -> None:
        self.dataset, self.positions = dataset, positions

    def __iter__(self) -> Iterator[list[TrainingSample]]:
        worker = get_worker_info()
        number, num_workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        positions = self.positions
        stream = SampleStream(
            self.dataset,
            f"{self.dataset.seed}/{positions.start_step}",
            reader=positions.rank * num_workers + number,
            num_readers=positions.world_size * num_workers,
            buffer=self.dataset.buffer,
        )
        for batch in islice(positions, number, None, num_workers):
            yield [stream.read(index) for index in batch]
