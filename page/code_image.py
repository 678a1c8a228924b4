"""Codes as images: every index of a group as a color, from blue (index 0) to red (the last code).

Colors are the same for all images of a tokenizer, so that two images can be compared.
"""

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from matplotlib import colormaps
from torch import Tensor

MAX_GROUPS = 8
"""Maximum number of groups that are drawn; the others are only counted."""


def code_images(
    indices: Int64[Tensor, "t h w groups"], group_sizes: tuple[int, ...]
) -> tuple[UInt8[Tensor, "3 t h w"], ...]:
    """Draw one small clip per group of indices, with one pixel per latent position.

    Args:
        indices: indices of one sample.
        group_sizes: number of codes of each group; only the first groups are drawn.
    """
    groups = list(zip(indices.unbind(dim=-1), group_sizes, strict=True))
    return tuple(_colored(grid, codes) for grid, codes in groups[:MAX_GROUPS])


def _colored(grid: Int64[Tensor, "t h w"], num_codes: int) -> UInt8[Tensor, "3 t h w"]:
    share = grid.cpu().double() / max(1, num_codes - 1)
    colors = colormaps["turbo"](share.numpy())[..., :3]
    return torch.from_numpy(np.rint(255 * colors).astype(np.uint8)).movedim(-1, 0)
