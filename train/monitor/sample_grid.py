"""Sample grids: originals above their reconstructions, as one PNG; clips as strips of frames."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision.utils import make_grid

from ...data.codecs.write import write_image

FRAMES_SHOWN = 5


def write_sample_grid(
    file: Path,
    originals: UInt8[Tensor, "B 3 T H W"],
    *reconstructions: UInt8[Tensor, "B 3 T H W"],
) -> None:
    """Draw a batch: images side by side in rows, or every clip in rows of frames.

    Args:
        file: the PNG.
        originals: the first row.
        reconstructions: a row each: one, or one for each path of a dual-path tokenizer.
    """
    frames = originals.shape[2]
    if frames == 1:
        rows = [batch[:, :, 0] for batch in (originals, *reconstructions)]
    else:
        shown = torch.linspace(0, frames - 1, min(frames, FRAMES_SHOWN)).round().long()
        rows = [
            clip[:, shown].transpose(0, 1)
            for versions in zip(originals, *reconstructions, strict=True)
            for clip in versions
        ]
    write_image(file, stack_rows(rows))


def stack_rows(rows: Sequence[UInt8[Tensor, "N 3 H W"]]) -> UInt8[Tensor, "3 Hg Wg"]:
    """Stack rows of equally many images into one image with white gaps."""
    return make_grid(torch.cat(list(rows)), nrow=len(rows[0]), padding=4, pad_value=255)
