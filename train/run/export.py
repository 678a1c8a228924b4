"""Export: the averaged weights of a finished run as a tokenizer that others can load.

Continuous tokenizers carry the mean and standard deviation of every latent channel over the
training data: diffusion models on top of them want latents of mean 0 and variance 1 per channel
(see `VisualTokenizer.normalize`). Sums are float64, over all ranks, divided once.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from ...data.pixels import to_pixels
from ...distributed import all_reduce_sum
from ...output_file import dumps, replaced_folder
from ...tokenizers.tokenizer import VisualTokenizer
from .run_folder import FINISHED_NOTE, FinishedNote, RunFolder
from .training_data import TrainingData


def save_tokenizer(
    folder: RunFolder, tokenizer: VisualTokenizer, training_data: TrainingData
) -> None:
    """Write `tokenizer/`, with the statistics of its latents if it has a continuous path.

    The note of its step is written with it, for `RunFolder.finished`. All ranks must call this.

    Args:
        folder: of the run.
        tokenizer: the averaged weights.
        training_data: the clips on which latents are measured.
    """
    options = training_data.options
    samples = options.latent_statistics_samples
    # Halves of diffusers keep the statistics that were published with their latents.
    is_published = tokenizer.encoder.latent_scale.is_known
    if samples and "continuous" in tokenizer.paths and not is_published:
        count = training_data.batches_with(samples)
        statistics = measure_latents(tokenizer, training_data.batches(num_batches=count))
        configurable: Any = tokenizer
        configurable.register_to_config(
            latents_mean=list(statistics.mean), latents_std=list(statistics.std)
        )
    if training_data.rank == 0:
        with replaced_folder(folder.tokenizer) as partial:
            tokenizer.save_pretrained(partial)
            note = dumps(asdict(FinishedNote(options.steps)), indent=None) + "\n"
            (partial / FINISHED_NOTE).write_text(note, encoding="utf-8")


@dataclass(frozen=True)
class LatentStatistics:
    """Statistics of a tokenizer's latents.

    Attributes:
        mean: per channel.
        std: per channel, of the population (divided by n).
        num_samples: number of clips encoded, on all ranks together.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_samples: int


@torch.no_grad()
def measure_latents(
    tokenizer: VisualTokenizer, batches: Iterable[UInt8[Tensor, "_ 3 _ _ _"]]
) -> LatentStatistics:
    """Measure the latents of all ranks' batches together; all ranks must call this.

    Args:
        tokenizer: the trained tokenizer, in eval mode.
        batches: this rank's training data.

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
