"""The `data` section of a run config: sources, cropping and reading of the training data."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, model_validator

from ...config import ConfigSection, Count, PositiveInt
from ...data.training.batch_kind import check_one_aspect
from ...data.training.crop import CropRules


class WeightedSource(ConfigSection):
    """One of several sources of training data."""

    source: str
    """Folder, glob, tar shards, Parquet, list, bundled set or URL, as in `data.source`."""
    weight: float = Field(gt=0, allow_inf_nan=False)
    """How often the source is drawn, in proportion to the weights of the others."""


class Sources(ConfigSection):
    """Sources of the training data."""

    source: str | Annotated[list[WeightedSource], Field(min_length=1)]
    """Folder, glob, shards-{000..009}.tar, Parquet, list, bundled set (samples:train), or URL; or
    several of them, each with its weight."""

    @property
    def sources(self) -> list[tuple[str, float | None]]:
        """Every source with its weight; a single one has none."""
        if isinstance(self.source, str):
            return [(self.source, None)]
        return [(part.source, part.weight) for part in self.source]

    @model_validator(mode="after")
    def _sources_are_named(self) -> "Sources":
        if not all(source.strip() for source, _ in self.sources):
            raise ValueError("source is empty; give a folder, a file or a pattern (`.`: here)")
        return self


# pydantic orders fields by the last base class first: files list the source before the rules.
class Data(CropRules, Sources):
    """Training data: its sources, and how samples are cropped and read."""

    shuffle: Literal["exact", "stream"] = "exact"
    """exact: all files are indexed and permuted anew in every epoch; resuming is exact. stream: tar
    shards are read from beginning to end without an index, for sources too large for one, and
    shuffled approximately; a resumed run begins a new pass over the shards."""
    shuffle_buffer: PositiveInt | None = None
    """Number of files that each worker keeps in memory to draw from, with `shuffle: stream`, of
    each source and kind of file; null is 1000."""
    workers: Count = 2
    """Number of reading processes per device; 0 reads in the training process."""
    cache_files: Count = 0
    """Number of decoded files that each worker keeps in memory; for small data sets."""
    max_bad: NonNegativeFloat = 0.01
    """Unreadable files that are accepted: below 1 a share of all files (at least 10), otherwise a
    number of files."""

    @model_validator(mode="after")
    def _settings_suit_the_shuffle(self) -> "Data":
        if self.shuffle == "exact" and self.shuffle_buffer is not None:
            raise ValueError(
                f"shuffle_buffer={self.shuffle_buffer} needs shuffle=stream; shuffle=exact has no "
                "buffer"
            )
        if self.shuffle == "stream":
            if self.cache_files:
                raise ValueError(
                    f"cache_files={self.cache_files} needs shuffle=exact; files that are streamed "
                    "are not read twice"
                )
            for kind in self.kinds:
                check_one_aspect(kind)
        return self
