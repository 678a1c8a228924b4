"""Checks before the first stage of several: a later one must not fail after days of training.

Everything that a single run needs is checked by the run itself, before it claims its folder. Here
the later stages are checked for what can be known before the earlier ones are trained.
"""

from collections.abc import Mapping
from pathlib import Path

from ...data.sources.shard_stream import list_shards, media_kinds
from ...data.sources.source import list_source
from ...eval.features.extractor_weights import find
from ...eval.features.lpips_network import TRUNKS
from ...tokenizers.diffusers_source import is_diffusers, parse_source, read_options
from ...tokenizers.pretrained import check_config
from ...tokenizers.tokenizer import VisualTokenizer
from ..config.run_config import RunConfig
from ..monitor.trackers import check_trackers
from ..monitor.validation import check_scores
from .run_folder import RunFolder
from .warm_start import finished_tokenizer


def check_later_stages(stages: Mapping[str, RunConfig], output: Path) -> None:
    """Raise unless every stage that has not begun yet finds what it needs.

    Args:
        stages: runs by name, in order; the first one is checked when it starts.
        output: folder of all stages.

    Raises:
        ValueError: a tracker is not installed, a metric is unavailable, a source is empty or the
            start is not a tokenizer; names the stage.
        FileNotFoundError: a source, a start or the weights of a loss do not exist.
    """
    listed = {source for config in list(stages.values())[:1] for source in _sources(config)}
    for name, config in list(stages.items())[1:]:
        if RunFolder(output / name).newest_checkpoint() is not None:
            continue
        try:
            _check(config, listed, output)
        except (ValueError, FileNotFoundError) as error:
            kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
            raise kind(f"stage {name}: {error}") from error
        listed |= _sources(config)


def _check(config: RunConfig, listed: set[tuple[str, bool]], output: Path) -> None:
    """Raise unless a stage finds its trackers, weights, data and start."""
    check_trackers(config.train.trackers)
    check_scores(config.eval, config.held_out_size, config.data.frames, "cpu")
    if config.train.losses.perceptual_weight:
        find(TRUNKS[config.train.losses.perceptual_trunk])
    for source, is_streamed in _sources(config) - listed:
        if is_streamed:
            media_kinds(source, list_shards(source)[0])
        else:
            list_source(source)
    start = config.start.source
    if start in (None, "previous") or Path(start).resolve().is_relative_to(output.resolve()):
        return  # random weights, or those of an earlier stage
    if is_diffusers(start):
        read_options(parse_source(start))
    elif not RunFolder(Path(start)).newest_checkpoint():
        check_config(VisualTokenizer, finished_tokenizer(start))


def _sources(config: RunConfig) -> set[tuple[str, bool]]:
    """Return the training and held-out data of a run, each with whether it is streamed."""
    held_out = {(config.eval.source, False)} if config.eval.source is not None else set()
    is_streamed = config.data.shuffle == "stream"
    return {(source, is_streamed) for source, _ in config.data.sources} | held_out
