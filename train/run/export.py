"""The end of a run: the averaged weights as a tokenizer that others can load."""

import json
from typing import Any

from accelerate import Accelerator

from ...data.training.training_set import TrainingSet
from ...output_file import replaced_folder
from ...tokenizers.tokenizer import VisualTokenizer
from ..config.run_config import RunConfig
from .latent_statistics import measure_latents
from .run_folder import FINISHED_NOTE, RunFolder
from .training_data import training_batches


def save_tokenizer(
    config: RunConfig,
    folder: RunFolder,
    tokenizer: VisualTokenizer,
    dataset: TrainingSet,
    accelerator: Accelerator,
) -> None:
    """Write `tokenizer/`, with the statistics of its latents where it has a continuous path.

    The note of its step appears and disappears with it: `RunFolder.finished` asks for it.
    """
    samples = config.train.latent_statistics_samples
    if samples and "continuous" in tokenizer.paths:
        count = -(-samples // (config.train.batch_size * accelerator.num_processes))
        batches = training_batches(config, dataset, accelerator, batches=count)
        statistics = measure_latents(tokenizer, batches)
        configurable: Any = tokenizer
        configurable.register_to_config(
            latents_mean=list(statistics.mean), latents_std=list(statistics.std)
        )
    if accelerator.is_main_process:
        with replaced_folder(folder.tokenizer) as partial:
            tokenizer.save_pretrained(partial)
            note = json.dumps({"step": config.train.steps}) + "\n"
            (partial / FINISHED_NOTE).write_text(note, encoding="utf-8")
