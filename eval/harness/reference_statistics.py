"""Statistics of the originals: computed with the first reconstructor, reused for all others.

With a cache folder, later evaluations reuse them as well. A file in the cache is named by a hash of
everything that it depends on (the files with their sizes and times, the crop, the pixel convention,
the extractor's weights), so that none is used if any of these differ.
"""

import hashlib
import json
import logging
import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ...data.evaluation_set import EvaluationSet
from ...distributed import broadcast_object, rank_and_world_size
from ...output_file import replaced_file
from ..features.extractor import Extractor
from ..metrics.catalog import Metrics
from ..metrics.feature_statistics import FeatureStatistics

log = logging.getLogger(__name__)

# Incremented whenever a change of the code changes the features of the same originals.
CODE_VERSION = 1


class ReferenceStatistics:
    """Statistics of the originals by extractor; only the first rank has them.

    Args:
        dataset: the originals.
        metrics: opened metrics, whose extractors process the originals.
        source_version: fingerprint of the files; see `source_fingerprint`.
        cache: folder of statistics; None keeps them for this evaluation only.
    """

    def __init__(
        self,
        dataset: EvaluationSet,
        metrics: Metrics,
        source_version: str | None,
        cache: Path | None,
    ) -> None:
        self.known: dict[str, FeatureStatistics] = {}
        self._keeps = {m.extractor.name: False for m in metrics.per_set if m.compares}
        for metric in metrics.per_set:
            if metric.compares and metric.keeps_features:
                self._keeps[metric.extractor.name] = True
        self._paths: dict[str, Path] = {}
        if cache is None or source_version is None or rank_and_world_size()[0] > 0:
            return
        for extractor in metrics.extractors:
            if extractor.name in self._keeps:
                keep = self._keeps[extractor.name]
                name = _cache_name(dataset, source_version, extractor, keep)
                self._paths[extractor.name] = cache / f"{name}.safetensors"
                self._read(extractor.name, keep)

    def missing(self) -> tuple[str, ...]:
        """Return the extractors that must still process the originals; all ranks must call this."""
        return broadcast_object(tuple(sorted(self._keeps.keys() - self.known.keys())))

    def update(self, statistics: dict[str, FeatureStatistics], complete: bool) -> None:
        """Add statistics of the originals, and store them in the cache.

        Args:
            statistics: feature statistics by extractor.
            complete: whether all files could be read; only then they are stored.
        """
        self.known |= statistics
        for name, of_extractor in statistics.items():
            path = self._paths.get(name)
            if path is not None and complete:
                self._write(path, of_extractor)

    def _write(self, path: Path, statistics: FeatureStatistics) -> None:
        """Store statistics; if that fails, warn and continue without a cache."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replaced_file(path, shared=True) as partial:
                save_file(statistics.state(), partial)
        except (OSError, SafetensorError) as error:
            log.warning("statistics of the originals are not stored in %s: %s", path.parent, error)
            self._paths.clear()

    def _read(self, name: str, keep: bool) -> None:
        path = self._paths[name]
        try:
            if path.is_file():
                self.known[name] = FeatureStatistics.from_state(load_file(path), keep)
        except (OSError, SafetensorError, KeyError) as error:
            log.warning("%s cannot be read and is computed again: %s", path, error)


def _cache_name(
    dataset: EvaluationSet, source_version: str, extractor: Extractor, keep: bool
) -> str:
    """Hash everything that statistics of the originals depend on."""
    facts = {
        "code": CODE_VERSION,
        "files": source_version,
        "size": dataset.size,
        "frames": dataset.frames,
        "resize": dataset.resize,
        "fps": str(dataset.fps),
        "extractor": extractor.name,
        "weights": extractor.sha256,
        "values": extractor.convention,
        "preprocessing": extractor.preprocessing,
        "keep": keep,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def default_cache_folder() -> Path:
    """Return the default folder of statistics, in `VISTOK_CACHE` or the user's cache folder."""
    chosen = os.environ.get("VISTOK_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(chosen) if chosen else Path(home) / "vistok"
    return folder / "reference_statistics"
