"""The data of a run: what it trains on, and the clips that its sample grids show."""

import logging

import torch
from accelerate import Accelerator
from torch import Tensor

from ...data.evaluation_set import EvaluationSet, evaluation_batches
from ...data.sources.source import list_source
from ...data.training.loader import TrainingLoader, training_loader
from ...data.training.order import BatchPositions, SampleIndex
from ...data.training.training_set import TrainingSet, WeightedFiles
from ..config.run_config import RunConfig

log = logging.getLogger(__name__)

GRID_SAMPLES = 8


def open_training_set(config: RunConfig) -> TrainingSet:
    """List the sources, and say what of them is not used."""
    data = config.data
    sources: list[WeightedFiles] = []
    for source, weight in data.sources:
        listing = list_source(source)
        if listing.skipped:
            log.warning("%d file(s) of %s are no images or videos", len(listing.skipped), source)
        sources.append(WeightedFiles(listing.files, weight))
    dataset = TrainingSet(
        sources, data.crop_rules, config.train.seed, data.cache_files, data.workers
    )
    listed = {file.path for source in sources for file in source.files}
    unused = len(listed) - len(dataset.files)
    if unused:
        log.warning("%d file(s) left out: data.frames=%d takes videos", unused, data.frames)
    return dataset


def training_batches(
    config: RunConfig,
    dataset: TrainingSet,
    accelerator: Accelerator,
    start_step: int = 0,
    batches: int | None = None,
) -> TrainingLoader:
    """This rank's batches from a step of the run on: to its end, or so many of them.

    Step k of a run begins at micro-step k * accumulation_steps.
    """
    options = config.train
    first = start_step * options.accumulation_steps
    end = options.steps * options.accumulation_steps if batches is None else first + batches
    positions = BatchPositions(
        options.batch_size,
        first,
        end,
        accelerator.process_index,
        accelerator.num_processes,
        dataset.schedule,
    )
    return training_loader(dataset, positions, config.data.workers, config.data.max_bad)


def preview_clips(config: RunConfig, dataset: TrainingSet) -> Tensor:
    """The clips that every sample grid of the run shows: held-out ones where there are some."""
    if config.eval.source is None:
        return torch.stack([dataset[SampleIndex(position)] for position in range(GRID_SAMPLES)])
    files = list_source(config.eval.source).files
    size = config.eval.size or config.data.size
    heldout = EvaluationSet(files, size, config.data.frames, limit=GRID_SAMPLES)
    for batch in evaluation_batches(heldout, GRID_SAMPLES):
        if batch.clips is not None:
            return batch.clips
    raise ValueError(f"eval.source={config.eval.source}: no file could be read")
