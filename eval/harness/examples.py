"""Images to look at: the first samples, and by PSNR the worst, the median and the best ones.

They are read and reconstructed once more when the scores are known, so that nothing has to be kept
of the samples in between. Of clips a few frames are kept, those that a report can show: thirteen
whole ones of 300 frames would be gigabytes.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from ...data.evaluation_set import EvaluationSet, evaluation_batches
from ..reconstructors.reconstructor import Reconstructor
from .row import Picture, Role

FIRST = 4
OF_EACH = 3
STRIP_FRAMES = 8


def select_examples(
    reconstructor: Reconstructor, dataset: EvaluationSet, samples: Mapping[int, Mapping[str, Any]]
) -> tuple[Picture, ...]:
    """The chosen samples of an evaluation, one at a time through the subject.

    Args:
        reconstructor: reconstructs them.
        dataset: reads them.
        samples: keys and values by position, in order.
    """
    chosen = chosen_positions(samples)
    # A sample may be the first and the best one; it is reconstructed once.
    roles = dict(chosen)
    pictures: dict[int, Picture] = {}
    batches = evaluation_batches(dataset, 1, positions=list(roles))
    for (position, role), batch in zip(roles.items(), batches, strict=True):
        if batch.clips is None:
            continue  # it could be read before; the row's numbers stand
        values = {name: value for name, value in samples[position].items() if name != "key"}
        key = samples[position]["key"]
        result = reconstructor.reconstruct(batch.clips, [key])
        pictures[position] = Picture(
            key=key,
            role=role,
            scores=values,
            original=strip_frames(batch.clips[0]),
            reconstruction=strip_frames(result.clips[0]),
            latents=tuple(grid[0].float().cpu() for grid in result.latents or ()),
        )
    return tuple(
        replace(pictures[position], role=role) for position, role in chosen if position in pictures
    )


def strip_frames(clip: UInt8[Tensor, "3 T H W"]) -> UInt8[Tensor, "3 t H W"]:
    """Up to eight frames spread over a clip, as a tensor of its own."""
    T = clip.shape[1]
    spread = torch.linspace(0, T - 1, min(STRIP_FRAMES, T))
    return clip[:, spread.round().long()]


def chosen_positions(samples: Mapping[int, Mapping[str, Any]]) -> list[tuple[int, Role]]:
    """Which samples are shown, and why; without PSNR the first ones only."""
    first: list[tuple[int, Role]] = [(position, "first") for position in list(samples)[:FIRST]]
    if not all("psnr" in values for values in samples.values()):
        return first
    ordered = sorted(samples, key=lambda position: (samples[position]["psnr"], position))
    each = min(OF_EACH, len(ordered))
    middle = (len(ordered) - each) // 2
    shares: tuple[tuple[Role, list[int]], ...] = (
        ("worst", ordered[:each]),
        ("median", ordered[middle : middle + each]),
        ("best", ordered[::-1][:each]),
    )
    return first + [(position, role) for role, share in shares for position in share]
