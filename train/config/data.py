"""The `data` section of a run config: sources, cropping and reading of the training data."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, model_validator

from ...config import ConfigSection, Count
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

    workers: Count = 2
    """Number of reading processes per device; 0 reads in the training process."""
    cache_files: Count = 0
    """Number of decoded files that each worker keeps in memory; for small data sets."""
    max_bad: NonNegativeFloat = 0.01
    """Unreadable files that are accepted: below 1 a share of all files (at least 10), otherwise a
    number of files."""
