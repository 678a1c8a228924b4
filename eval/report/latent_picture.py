"""Latents as colours: the three main directions of a tokenizer's latents as red, green and blue.

The directions are those of all shown images of a tokenizer together (PCA of the centred
positions), so that the same colour means the same thing in all of them; each channel spans its 1st
to 99th percentile.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def latent_pictures(
    latents: Sequence[Float[Tensor, "C _ _ _"]], factor: int
) -> list[UInt8[Tensor, "3 _ _"]]:
    """One image per grid of latents; the frames of clips stand side by side.

    Args:
        latents: of one tokenizer; grids may differ in size, not in channels.
        factor: by which positions are enlarged.
    """
    vectors = torch.cat([grid.flatten(1).T for grid in latents]).double()
    mean = vectors.mean(dim=0)
    directions = torch.linalg.svd(vectors - mean, full_matrices=False).Vh[:3]
    # Signs of singular vectors are arbitrary: the largest entry is made positive.
    signs = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True)).sign()
    directions = directions * signs
    projected = (vectors - mean) @ directions.T
    low, high = projected.quantile(torch.tensor([0.01, 0.99]).double(), dim=0)
    pictures = []
    for grid in latents:
        _, t, h, w = grid.shape
        colours = (grid.flatten(1).T.double() - mean) @ directions.T
        unit = ((colours - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
        if unit.shape[1] < 3:  # one or two channels: the rest stays dark
            unit = torch.nn.functional.pad(unit, (0, 3 - unit.shape[1]))
        frames = (unit * 255).round().to(torch.uint8).T.view(3, t, h, w)
        strip = frames.transpose(1, 2).reshape(3, h, t * w)
        pictures.append(strip.repeat_interleave(factor, 1).repeat_interleave(factor, 2))
    return pictures
