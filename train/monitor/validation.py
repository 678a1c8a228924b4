"""Validation during a run: scores on held-out data, and sample grids."""

import logging
from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from ...data.pixels import to_pixels, to_uint8
from ...distributed import rank_and_world_size
from ...eval.evaluate import evaluate
from ...eval.metrics.catalog import MetricContext, open_metrics
from ...eval.metrics.names import CODEBOOK_METRICS
from ...eval.metrics.sample_std import sample_std
from ...eval.protocols.protocol import CANONICAL
from ...eval.reconstructors.saved_tokenizer import TokenizerReconstructor
from ...tokenizers.bottlenecks.dual_path import PathName
from ...tokenizers.tokenizer import VisualTokenizer
from ..config.evaluation import Eval
from ..config.path_mode import PathMode
from .sample_grid import write_sample_grid

log = logging.getLogger(__name__)

# In pixels. Frames as large as those of training fit the memory anyway.
MAX_UNTILED_SIDE = 768
TILE_SIDE = 512


def check_scores(options: Eval, size: int, frames: int, device: str) -> None:
    """Raise, before any work, if the network of a metric has no weights.

    Args:
        options: held-out data and metrics.
        size: side of the held-out crops, in pixels.
        frames: frames per clip.
        device: where the metrics are computed.

    Raises:
        ValueError: a metric is unavailable; names it and the reason.
    """
    if options.source is None:
        return
    context = MetricContext(
        protocol=CANONICAL, size=size, frames=frames, device=device, seed=0, force=False
    )
    for name, reason in open_metrics(_metrics(options), context).unavailable.items():
        raise ValueError(f"eval.metrics names {name}, which is unavailable: {reason}")


class Validation:
    """Scores and sample grids of the averaged weights of a run.

    The plain names are those of the first path that is trained; where the continuous path is
    trained beside it, its metrics follow as `continuous_psnr` and so on.

    Args:
        options: held-out data and metrics.
        path_mode: the paths of dual-path tokenizers that the run trains.
        preview: clips of the sample grids, on which the spread of generative decoders is measured.
        size: side of the held-out crops, in pixels.
        frames: frames per clip.
    """

    def __init__(
        self,
        options: Eval,
        *,
        path_mode: PathMode,
        preview: UInt8[Tensor, "B 3 T H W"],
        size: int,
        frames: int,
    ) -> None:
        self.options, self.path_mode = options, path_mode
        self.preview, self.size, self.frames = preview, size, frames

    def names(self, tokenizer: VisualTokenizer) -> tuple[str, ...]:
        """Return the names of all scores, the same throughout a run."""
        second = () if len(self._paths(tokenizer)) == 1 else _continuous(self.options)
        spread = ("sample_std",) if tokenizer.decoder.generative else ()
        return (*_metrics(self.options), *second, *spread)

    def scores(self, tokenizer: VisualTokenizer) -> dict[str, float]:
        """Score a tokenizer on the held-out data; all ranks must call this and share the work.

        A metric that this data does not allow (with too few samples, for example) is left out with
        a warning: that is no reason to lose a run.
        """
        assert self.options.source is not None, "called only where held-out data is configured"
        row, *others = evaluate(
            self.options.source,
            [TokenizerReconstructor(name, tokenizer, path=name) for name in self._paths(tokenizer)],
            size=self.size,
            frames=self.frames,
            batch_size=self.options.batch_size,
            metrics=_metrics(self.options),
            limit=self.options.limit,
            device=str(tokenizer.device),
            fingerprints=False,
            examples=False,
        )
        for name in self.options.metrics:
            if name in row.unavailable and rank_and_world_size()[0] == 0:
                log.warning("%s is not scored: it %s", name, row.unavailable[name])
        scores = {n: row.metrics[n] for n in _metrics(self.options) if n in row.metrics}
        for other in others:
            names = _continuous(self.options).items()
            scores |= {score: other.metrics[name] for score, name in names if name in other.metrics}
        if tokenizer.decoder.generative:
            variances = [
                sample_std(tokenizer, tokenizer.encode(pixels).codes).square()
                for pixels in self._preview_on(tokenizer)
            ]
            scores["sample_std"] = torch.stack(variances).mean().sqrt().item()
        return scores

    @torch.no_grad()
    def draw(self, file: Path, tokenizer: VisualTokenizer) -> None:
        """Write a sample grid: the originals, and a row for every path that is trained."""
        restored = [
            torch.cat(
                [
                    to_uint8(tokenizer.reconstruct(pixels, path, tile=_tile(pixels))).cpu()
                    for pixels in self._preview_on(tokenizer)
                ]
            )
            for path in self._paths(tokenizer)
        ]
        write_sample_grid(file, self.preview, *restored)

    def _preview_on(self, tokenizer: VisualTokenizer) -> Iterator[Tensor]:
        """Yield the clips of the sample grids one by one: all at once may not fit the memory."""
        for clip in self.preview.split(1):
            yield to_pixels(clip).to(tokenizer.device)

    def _paths(self, tokenizer: VisualTokenizer) -> tuple[PathName, ...]:
        """Return those of a tokenizer's paths that the run trains."""
        mode = self.path_mode
        return (mode,) if mode in ("discrete", "continuous") else tokenizer.paths


def _tile(pixels: Tensor) -> int | None:
    """Return the side of the tiles that large frames are cut into."""
    return TILE_SIDE if max(pixels.shape[-2:]) > MAX_UNTILED_SIDE else None


def _metrics(options: Eval) -> tuple[str, ...]:
    """Return all metrics that `evaluate` computes, the use of the codebooks included."""
    return tuple(dict.fromkeys((*options.metrics, *CODEBOOK_METRICS)))


def _continuous(options: Eval) -> dict[str, str]:
    """Return the metrics of the continuous path by the names of their scores."""
    names = (name for name in options.metrics if name not in CODEBOOK_METRICS)
    return {f"continuous_{name}": name for name in names}
