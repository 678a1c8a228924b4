"""Mean and spread of every latent channel over the training data, measured when a run is finished.

Diffusion models on top of a tokenizer want latents of mean 0 and variance 1 per channel; see
`VisualTokenizer.normalize`. Sums are float64, over all ranks, divided once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from ...data.pixels import to_pixels
from ...distributed import sum_over_ranks
from ...tokenizers.tokenizer import VisualTokenizer


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
    total = sum_over_ranks(torch.cat([sums.flatten(), counts]).to(device)).cpu()
    first, second = total[:-2].view(2, channels)
    num_vectors, num_clips = total[-2:]
    if num_clips == 0:
        raise ValueError("latent statistics need at least one batch of data, got none")
    mean = first / num_vectors
    std = (second / num_vectors - mean.square()).clamp(min=0).sqrt()
    if not (mean.isfinite().all() and std.isfinite().all()):
        raise ValueError("the trained tokenizer's latents are not finite")
    return LatentStatistics(tuple(mean.tolist()), tuple(std.tolist()), int(num_clips))
