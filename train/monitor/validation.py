"""Looking at a run from outside: scores on held-out data, and sample grids."""

import logging

import torch
from torch import Tensor

from ...data.pixels import to_pixels, to_uint8
from ...distributed import rank_and_world_size
from ...eval.harness.evaluate import evaluate
from ...eval.metrics.catalog import CODEBOOK_METRICS, MetricContext, open_metrics
from ...eval.metrics.sample_std import sample_std
from ...eval.protocols.protocol import CANONICAL
from ...eval.reconstructors.saved_tokenizer import TokenizerReconstructor
from ...tokenizers.bottlenecks.dual_path import PathName
from ...tokenizers.tokenizer import VisualTokenizer
from ..config.run_config import RunConfig
from ..run.run_folder import RunFolder
from .sample_grid import write_sample_grid

log = logging.getLogger(__name__)


def score_names(config: RunConfig, tokenizer: VisualTokenizer) -> tuple[str, ...]:
    """What is scored, the same all through a run.

    The plain names are those of the first path that is trained; where the continuous path is
    trained beside it, its metrics follow as `continuous_psnr` and so on.
    """
    second = () if len(_paths(config, tokenizer)) == 1 else _continuous(config)
    spread = ("sample_std",) if tokenizer.decoder.generative else ()
    return (*_metrics(config), *second, *spread)


def _paths(config: RunConfig, tokenizer: VisualTokenizer) -> tuple[PathName, ...]:
    """Of the tokenizer's paths those that the run trains."""
    mode = config.train.path_mode
    return (mode,) if mode in ("discrete", "continuous") else tokenizer.paths


def _metrics(config: RunConfig) -> tuple[str, ...]:
    """What `evaluate` is asked for."""
    return tuple(dict.fromkeys((*config.eval.metrics, *CODEBOOK_METRICS)))


def _continuous(config: RunConfig) -> dict[str, str]:
    """Scores of the continuous path, beside the names of their metrics; it has no codebook."""
    names = (name for name in config.eval.metrics if name not in CODEBOOK_METRICS)
    return {f"continuous_{name}": name for name in names}


def check_scores(config: RunConfig, device: str) -> None:
    """Raise, before any work, where a metric's network has no weights to be had."""
    if config.eval.source is None:
        return
    size, frames = config.eval.size or config.data.size, config.data.frames
    context = MetricContext(
        protocol=CANONICAL,
        size=size,
        frames=frames,
        device=device,
        seed=config.train.seed,
        force=False,
    )
    for name, reason in open_metrics(_metrics(config), context).unavailable.items():
        raise ValueError(f"eval.metrics names {name}, which is unavailable: {reason}")


def held_out_scores(
    config: RunConfig, tokenizer: VisualTokenizer, shown: Tensor
) -> dict[str, float]:
    """Score a tokenizer on the run's held-out data; all ranks must call this and share the work.

    A metric that this data does not allow (too few samples, for one) is left out and said aloud:
    that is no reason to lose a run.

    Args:
        config: of the run.
        tokenizer: its averaged weights.
        shown: the clips of the sample grids, on which the spread of generative decoders is taken.
    """
    assert config.eval.source is not None, "called only where held-out data is configured"
    row, *others = evaluate(
        config.eval.source,
        [TokenizerReconstructor(path, tokenizer, path=path) for path in _paths(config, tokenizer)],
        size=config.eval.size or config.data.size,
        frames=config.data.frames,
        batch_size=config.eval.batch_size,
        metrics=_metrics(config),
        limit=config.eval.limit,
        device=str(tokenizer.device),
        fingerprints=False,
        examples=False,
    )
    for name in config.eval.metrics:
        if name in row.unavailable and rank_and_world_size()[0] == 0:
            log.warning("%s is not scored: it %s", name, row.unavailable[name])
    scores = {name: row.metrics[name] for name in _metrics(config) if name in row.metrics}
    for other in others:
        named = _continuous(config).items()
        scores |= {score: other.metrics[name] for score, name in named if name in other.metrics}
    if tokenizer.decoder.generative:
        codes = tokenizer.encode(to_pixels(shown).to(tokenizer.device)).codes
        scores["sample_std"] = sample_std(tokenizer, codes).item()
    return scores


@torch.no_grad()
def draw_samples(
    config: RunConfig, folder: RunFolder, step: int, tokenizer: VisualTokenizer, clips: Tensor
) -> None:
    """Write the sample grid of a step: a row for every path that is trained."""
    pixels, paths = to_pixels(clips).to(tokenizer.device), _paths(config, tokenizer)
    restored = [to_uint8(tokenizer.reconstruct(pixels, path)).cpu() for path in paths]
    write_sample_grid(folder.samples / f"step-{step:08d}.png", clips, *restored)
