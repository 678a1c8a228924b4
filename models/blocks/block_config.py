"""BlockConfig: what all blocks of one network have in common."""

from dataclasses import dataclass
from typing import Literal

SpatialPadding = Literal["zeros", "reflect", "replicate"]
TemporalPadding = Literal["zeros", "replicate"]
NormKind = Literal["rms", "pixel", "group", "clip_group", "none"]


@dataclass(frozen=True)
class BlockConfig:
    """Choices shared by the blocks of a network.

    Attributes:
        norm: kind of normalisation; see `norm.py`.
        norm_eps: its epsilon; None takes the kind's usual one.
        temporal_padding: what stands before the first frame (and, non-causal, after the last).
        spatial_padding: what surrounds a frame.
        causal: whether convolutions see only the past; otherwise past and future alike.
        block_bias: whether the convolutions of residual blocks have a bias.
        shortcut_norm: whether shortcuts that change the width normalise first.
        shortcut_kernel: spatial size of the convolution on such shortcuts.
        timestep: whether blocks are modulated by a timestep.
        zero_init: whether residual branches begin at zero.
    """

    norm: NormKind = "rms"
    norm_eps: float | None = None
    temporal_padding: TemporalPadding = "replicate"
    spatial_padding: SpatialPadding = "zeros"
    causal: bool = True
    block_bias: bool = True
    shortcut_norm: bool = False
    shortcut_kernel: Literal[1, 3] = 1
    timestep: bool = False
    zero_init: bool = True
