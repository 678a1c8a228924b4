"""Latents as colors: the three principal directions of a tokenizer's latents in red, green, blue.

The directions are computed from all images of a tokenizer together (PCA of the centered positions),
so that a color means the same in all of them; each channel spans its 1st to 99th percentile.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def latent_images(
    latents: Sequence[Float[Tensor, "C _ _ _"]], factor: int
) -> list[UInt8[Tensor, "3 _ _"]]:
    """Draw one image per grid of latents, with the frames of clips side by side.

    Args:
        latents: grids of one tokenizer; they may differ in size, but not in channels.
        factor: factor by which positions are enlarged.
    """
    vectors = torch.cat([grid.flatten(1).T for grid in latents]).double()
    mean = vectors.mean(dim=0)
    directions = torch.linalg.svd(vectors - mean, full_matrices=False).Vh[:3]
    # The sign of a singular vector is arbitrary: make its largest entry positive.
    signs = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True)).sign()
    directions = directions * signs
    projected = (vectors - mean) @ directions.T
    low, high = projected.quantile(torch.tensor([0.01, 0.99]).double(), dim=0)
    images = []
    for grid in latents:
        _, t, h, w = grid.shape
        colors = (grid.flatten(1).T.double() - mean) @ directions.T
        unit = ((colors - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
        if unit.shape[1] < 3:  # one or two channels: the others stay dark
            unit = torch.nn.functional.pad(unit, (0, 3 - unit.shape[1]))
        frames = (unit * 255).round().to(torch.uint8).T.view(3, t, h, w)
        strip = frames.transpose(1, 2).reshape(3, h, t * w)
        images.append(strip.repeat_interleave(factor, 1).repeat_interleave(factor, 2))
    return images
