"""Statistics of the originals: taken with the first subject, known to all that follow.

With a cache folder they are known to later evaluations as well. A file there is named by a hash of
everything that it depends on (the files with their sizes and times, the crop, the numbers, the
extractor's weights), so that none is read where any of these differ.
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
from ..features.extractor import Extractor
from ..metrics.catalog import Metrics
from ..metrics.feature_statistics import FeatureStatistics

log = logging.getLogger(__name__)

# Raised whenever a change of code changes the features of the same originals.
CODE_VERSION = 1


class ReferenceStatistics:
    """Statistics of the originals by extractor; of several ranks, only the first holds them.

    Args:
        dataset: the originals.
        metrics: which networks are to see them.
        version: of the files; see `source_fingerprint`.
        cache: folder of statistics; None keeps them for this evaluation only.
    """

    def __init__(
        self, dataset: EvaluationSet, metrics: Metrics, version: str | None, cache: Path | None
    ) -> None:
        self.known: dict[str, FeatureStatistics] = {}
        self._keeps = {m.extractor.name: False for m in metrics.per_set if m.compares}
        for metric in metrics.per_set:
            if metric.compares and metric.keeps_features:
                self._keeps[metric.extractor.name] = True
        self._paths: dict[str, Path] = {}
        if cache is None or version is None or rank_and_world_size()[0] > 0:
            return
        for extractor in metrics.extractors:
            if extractor.name in self._keeps:
                keep = self._keeps[extractor.name]
                name = _cache_name(dataset, version, extractor, keep)
                self._paths[extractor.name] = cache / f"{name}.safetensors"
                self._read(extractor.name, keep)

    def missing(self) -> tuple[str, ...]:
        """Extractors that still have to see the originals; all ranks must call this."""
        return broadcast_object(tuple(sorted(self._keeps.keys() - self.known.keys())))

    def learn(self, statistics: dict[str, FeatureStatistics], complete: bool) -> None:
        """Keep what was taken of the originals.

        Args:
            statistics: by extractor.
            complete: whether no file was left out; only then they are stored.
        """
        self.known |= statistics
        for name, found in statistics.items():
            path = self._paths.get(name)
            if path is not None and complete:
                self._write(path, found)

    def _write(self, path: Path, statistics: FeatureStatistics) -> None:
        """Store statistics; where that fails, this evaluation goes on without a cache."""
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(statistics.state(), partial)
            partial.replace(path)
        except (OSError, SafetensorError) as error:
            log.warning("statistics of the originals are not stored in %s: %s", path.parent, error)
            self._paths.clear()

    def _read(self, name: str, keep: bool) -> None:
        path = self._paths[name]
        try:
            if path.is_file():
                self.known[name] = FeatureStatistics.from_state(load_file(path), keep)
        except (OSError, SafetensorError, KeyError) as error:
            log.warning("%s cannot be read and is made again: %s", path, error)


def _cache_name(dataset: EvaluationSet, version: str, extractor: Extractor, keep: bool) -> str:
    """A hash of everything that statistics of originals depend on."""
    facts = {
        "code": CODE_VERSION,
        "files": version,
        "size": dataset.size,
        "frames": dataset.frames,
        "resize": dataset.resize,
        "fps": str(dataset.fps),
        "extractor": extractor.name,
        "weights": extractor.sha256,
        "values": extractor.values,
        "preprocessing": extractor.preprocessing,
        "keep": keep,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def default_cache_folder() -> Path:
    """`VISTOK_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("VISTOK_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(chosen) if chosen else Path(home) / "vistok"
    return folder / "reference_statistics"
