"""BlockConfig: the options that all blocks of one network share.

`CausalEncoder` and `CausalDecoder` take these options as keywords of their own. They are declared
and described here only: as dataclasses, which hold the defaults and which every block receives, and
as TypedDicts, by which editors and type checkers know the keywords (PEP 692).
"""

from dataclasses import dataclass, field
from typing import Literal, TypedDict

SpatialPadding = Literal["zeros", "reflect", "replicate"]
TemporalPadding = Literal["zeros", "replicate"]
NormKind = Literal["rms", "pixel", "group", "clip_group", "none"]


@dataclass(frozen=True)
class BlockConfig:
    """Options shared by the blocks of a network.

    Args:
        norm: kind of normalization in every block; see `norm.py`.
        norm_eps: epsilon of the normalization; None takes the default of its kind.
        temporal_padding: frames that convolutions see before the first one (and, if not causal,
            after the last one): zeros or copies.
        block_bias: whether the convolutions of residual blocks have a bias.
        shortcut_norm: whether shortcuts that change the width normalize their input first.
        shortcut_kernel: spatial kernel size of the convolutions on those shortcuts.
        zero_init: whether residual branches start at zero.
    """

    norm: NormKind = "rms"
    norm_eps: float | None = None
    temporal_padding: TemporalPadding = "replicate"
    block_bias: bool = True
    shortcut_norm: bool = False
    shortcut_kernel: Literal[1, 3] = 1
    zero_init: bool = True
    # Options of decoders, constant in encoders; see DecoderBlockConfig.
    spatial_padding: SpatialPadding = field(default="zeros", init=False)
    causal: bool = field(default=True, init=False)
    timestep: bool = field(default=False, init=False)


@dataclass(frozen=True)
class DecoderBlockConfig(BlockConfig):
    """Options shared by the blocks of a decoder: those of `BlockConfig`, and three more.

    Args:
        spatial_padding: pixels that convolutions see around a frame.
        causal: whether convolutions see past frames only; otherwise past and future frames alike.
        timestep: whether the decoder denoises: its blocks are modulated by a noise level.
    """

    spatial_padding: SpatialPadding = "zeros"
    causal: bool = True
    timestep: bool = False


class BlockOptions(TypedDict, total=False):
    """Keywords of `BlockConfig`."""

    norm: NormKind
    norm_eps: float | None
    temporal_padding: TemporalPadding
    block_bias: bool
    shortcut_norm: bool
    shortcut_kernel: Literal[1, 3]
    zero_init: bool


class DecoderBlockOptions(BlockOptions, total=False):
    """Keywords of `DecoderBlockConfig`."""

    spatial_padding: SpatialPadding
    causal: bool
    timestep: bool
