"""Examples to look at: the first samples, and by PSNR the worst, the median and the best ones.

They are read and reconstructed again when the scores are known, so that nothing has to be kept in
memory during the evaluation. Of a clip only the frames that a report shows are kept: thirteen whole
clips of 300 frames would take gigabytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from ...data.evaluation_set import EvaluationSet, evaluation_batches
from ..reconstructors.reconstructor import Reconstructor

NUM_FIRST = 4
NUM_PER_RANK = 3
STRIP_FRAMES = 8

Role = Literal["first", "worst", "median", "best"]


@dataclass(frozen=True)
class Example:
    """A sample with its reconstruction.

    Attributes:
        key: name of the sample.
        role: why it was selected: among the first samples, or by its PSNR.
        scores: values of the sample by name.
        original: 8-bit clip; of a long clip the frames of its strip (see `strip_frames`).
        reconstruction: the same frames, 8 bit.
        latents: latents of a network, one per grid.
    """

    key: str
    role: Role
    scores: Mapping[str, float]
    original: UInt8[Tensor, "3 T H W"] = field(repr=False)
    reconstruction: UInt8[Tensor, "3 T H W"] = field(repr=False)
    latents: tuple[Float32[Tensor, "C _ _ _"], ...] = field(default=(), repr=False)


def select_examples(
    reconstructor: Reconstructor, dataset: EvaluationSet, samples: Mapping[int, Mapping[str, Any]]
) -> tuple[Example, ...]:
    """Select samples of an evaluation and reconstruct them one at a time.

    Args:
        reconstructor: reconstructor that was scored.
        dataset: the evaluated samples.
        samples: keys and values by position, in order.
    """
    selected = select_positions(samples)
    # A sample may be the first and the best one; it is reconstructed once.
    roles = dict(selected)
    examples: dict[int, Example] = {}
    batches = evaluation_batches(dataset, 1, positions=list(roles))
    for (position, role), batch in zip(roles.items(), batches, strict=True):
        if batch.clips is None:
            continue  # it was readable before, so the row's scores are valid
        scores = {name: value for name, value in samples[position].items() if name != "key"}
        key = samples[position]["key"]
        result = reconstructor.reconstruct(batch.clips, [key])
        examples[position] = Example(
            key=key,
            role=role,
            scores=scores,
            original=strip_frames(batch.clips[0]),
            reconstruction=strip_frames(result.clips[0]),
            latents=tuple(grid[0].float().cpu() for grid in result.latents or ()),
        )
    return tuple(
        replace(examples[position], role=role)
        for position, role in selected
        if position in examples
    )


def strip_frames(clip: UInt8[Tensor, "3 T H W"]) -> UInt8[Tensor, "3 t H W"]:
    """Copy up to eight frames, evenly spaced over the clip."""
    T = clip.shape[1]
    times = torch.linspace(0, T - 1, min(STRIP_FRAMES, T))
    return clip[:, times.round().long()]


def select_positions(samples: Mapping[int, Mapping[str, Any]]) -> list[tuple[int, Role]]:
    """Select samples by position, each with its role; without PSNR only the first ones.

    Args:
        samples: keys and values by position, in order.
    """
    first: list[tuple[int, Role]] = [(position, "first") for position in list(samples)[:NUM_FIRST]]
    if not all("psnr" in values for values in samples.values()):
        return first
    by_psnr = sorted(samples, key=lambda position: (samples[position]["psnr"], position))
    count = min(NUM_PER_RANK, len(by_psnr))
    middle = (len(by_psnr) - count) // 2
    ranked: tuple[tuple[Role, list[int]], ...] = (
        ("worst", by_psnr[:count]),
        ("median", by_psnr[middle : middle + count]),
        ("best", by_psnr[::-1][:count]),
    )
    return first + [(position, role) for role, positions in ranked for position in positions]
