"""The files of shards that are streamed: endless, shuffled approximately, divided among readers.

    shards     position p of a pool of n shards is shard p mod n of epoch p // n, and every epoch is
               a permutation of all shards, drawn from (key, epoch)
    readers    reader r of R takes the shards at positions r, r + R, r + 2 R, ...
    files      a buffer of files is kept, of which one is drawn at random each time

A reader is one reading process of one rank. All readers together read each shard once per epoch.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from webdataset.filters import shuffle

from ..sources.media import BadFile, MediaFile, MediaKind, bad_lines
from ..sources.shard_stream import read_shard
from .order import file_index


@dataclass(frozen=True)
class ShardPool:
    """Shards to read files of one kind from.

    Attributes:
        shards: paths or URLs.
        kind: kind of the files that are read; None reads images and videos.
    """

    shards: tuple[str, ...]
    kind: MediaKind | None


class ShardFiles:
    """One reader's files of a pool, to be iterated once.

    Args:
        pool: the shards.
        key: seed of the order.
        reader: number of this reader.
        num_readers: number of readers that divide the shards among them.
        buffer: number of files in memory, of which the next one is drawn.

    Attributes:
        bad: what could not be read of the shards so far; whoever reports it clears the list.
    """

    def __init__(
        self, pool: ShardPool, key: str, *, reader: int, num_readers: int, buffer: int
    ) -> None:
        self.bad: list[BadFile] = []
        self._pool, self._key = pool, key
        self._reader, self._num_readers = reader, num_readers
        rng = random.Random(f"{key}/reader {reader}")
        self._files: Iterator[MediaFile] = shuffle(buffer, initial=buffer, rng=rng)(self._read())

    def __iter__(self) -> Iterator[MediaFile]:
        return self._files

    def __next__(self) -> MediaFile:
        return next(self._files)

    def _read(self) -> Iterator[MediaFile]:
        """Yield the files of the pool's kind, shard by shard.

        Raises:
            OSError: no shard has a file of this kind.
        """
        shards, kind = self._pool.shards, self._pool.kind
        without: set[int] = set()
        for position in count(self._reader, self._num_readers):
            number = file_index(f"{self._key}/shards", position, len(shards))
            without.add(number)
            for entry in read_shard(shards[number]):
                if isinstance(entry, BadFile):
                    self.bad.append(entry)
                elif kind is None or entry.serves(kind):
                    without.clear()
                    yield entry
            if len(without) == len(shards):
                raise OSError(
                    f"none of the {len(shards)} shard(s) of the training source has a readable "
                    f"{kind or 'image or video'}{bad_lines(self.bad)}"
                )
