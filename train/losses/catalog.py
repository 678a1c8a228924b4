"""The family of reconstruction losses from outside the package, and their options in a config.

The package's own losses have weights of their own in `train.losses`; those that are registered are
listed in `train.losses.extra`, each with its `kind`, its `weight` and the options of its
constructor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field

from ...component import build
from ...component_options import family_union
from .reconstruction import ReconstructionLoss

LOSSES: dict[str, type[ReconstructionLoss]] = {}


@dataclass(frozen=True)
class Weighted:
    """Options of every loss in `train.losses.extra`, beside those of its constructor.

    Args:
        weight: factor on the loss.
    """

    weight: Annotated[float, Field(gt=0)]


EXTRA_LOSS = family_union(LOSSES, shared=Weighted)


def build_extra_losses(
    options: Sequence[Any], device: torch.device
) -> Mapping[str, ReconstructionLoss]:
    """Build the losses of `train.losses.extra` by kind: frozen, in eval mode, on a device.

    Args:
        options: checked options, one per loss.
        device: device of the losses.
    """
    losses = {}
    for number, one in enumerate(options):
        plain = one.model_dump(exclude={"weight"})
        loss: ReconstructionLoss = build(LOSSES, plain, f"train.losses.extra.{number}")
        losses[one.kind] = loss.to(device).eval().requires_grad_(False)
    return losses
