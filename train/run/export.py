"""The end of a run: the averaged weights as a tokenizer that others can load.

Continuous tokenizers carry the mean and spread of every latent channel over the training data:
diffusion models on top of them want latents of mean 0 and variance 1 per channel (see
`VisualTokenizer.normalize`). Sums are float64, over all ranks, divided once.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import UInt8
from torch import Tensor

from ...data.pixels import to_pixels
from ...data.training.training_set import TrainingSet
from ...distributed import all_reduce_sum
from ...output_file import replaced_folder
from ...tokenizers.tokenizer import VisualTokenizer
from ..config.run_config import RunConfig
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


@dataclass(frozen=True)
class LatentStatistics:
    """Statistics of a tokenizer's latents.

    Attributes:
        mean: per channel.
        std: per channel, of the whole population.
        num_samples: clips that were encoded, on all ranks together.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_samples: int


@torch.no_grad()
def measure_latents(
    tokenizer: VisualTokenizer, batches: Iterable[UInt8[Tensor, "_ 3 _ _ _"]]
) -> LatentStatistics:
    """Encode this rank's batches and combine with the other ranks; all of them must call this.

    Args:
        tokenizer: the trained tokenizer, in eval mode.
        batches: training data as it comes.

    Raises:
        ValueError: there are no batches on any rank, or latents that are not finite.
    """
    channels = tokenizer.bottleneck.code_dim
    device = tokenizer.device
    # Rows: sum and sum of squares of every channel; the counts of vectors and of clips beside them.
    sums = torch.zeros(2, channels, dtype=torch.float64)
    counts = torch.zeros(2, dtype=torch.float64)
    for clips in batches:
        latents = tokenizer.encode(to_pixels(clips).to(device)).latent
        vectors = latents.movedim(1, -1).reshape(-1, channels).double()
        sums += torch.stack([vectors.sum(0), vectors.square().sum(0)]).cpu()
        counts += torch.tensor([len(vectors), len(clips)])
    total = all_reduce_sum(torch.cat([sums.flatten(), counts]).to(device)).cpu()
    first, second = total[:-2].view(2, channels)
    num_vectors, num_clips = total[-2:]
    if num_clips == 0:
        raise ValueError("latent statistics need at least one batch of data, got none")
    mean = first / num_vectors
    std = (second / num_vectors - mean.square()).clamp(min=0).sqrt()
    if not (mean.isfinite().all() and std.isfinite().all()):
        raise ValueError("the trained tokenizer's latents are not finite")
    return LatentStatistics(tuple(mean.tolist()), tuple(std.tolist()), int(num_clips))
