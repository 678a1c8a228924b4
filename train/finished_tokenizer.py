"""The end of a run: the averaged weights as a tokenizer that others can load."""

from typing import Any

from accelerate import Accelerator

from ..data.order import BatchPositions
from ..data.training_loader import training_loader
from ..data.training_set import TrainingSet
from ..tokenizers.tokenizer import VisualTokenizer
from .latent_statistics import measure_latents
from .run_config import RunConfig
from .run_folder import RunFolder


def save_tokenizer(
    config: RunConfig,
    folder: RunFolder,
    tokenizer: VisualTokenizer,
    dataset: TrainingSet,
    accelerator: Accelerator,
) -> None:
    """Write `tokenizer/`, with the statistics of its latents where it is continuous."""
    samples = config.train.latent_statistics_samples
    if samples and not tokenizer.is_discrete:
        world_size = accelerator.num_processes
        steps = -(-samples // (config.train.batch_size * world_size))
        positions = BatchPositions(
            config.train.batch_size,
            0,
            steps,
            accelerator.process_index,
            world_size,
            dataset.schedule,
        )
        batches = training_loader(dataset, positions, config.data.workers, config.data.max_bad)
        statistics = measure_latents(tokenizer, batches)
        configurable: Any = tokenizer
        configurable.register_to_config(
            latents_mean=list(statistics.mean), latents_std=list(statistics.std)
        )
    if accelerator.is_main_process:
        tokenizer.save_pretrained(folder.tokenizer)
