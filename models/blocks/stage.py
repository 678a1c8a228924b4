"""Stage: one row of the table that describes an encoder or a decoder.

A backbone is data: a list of stages, run in order. Each stage is a number of residual blocks at one
width followed by at most one resampling layer. An encoder's stages go from pixels to latents, a
decoder's from latents to pixels; the same row means the same in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ...size_limits import (
    MAX_BLOCKS,
    MAX_CHANNELS,
    MAX_FACTOR,
    MAX_STAGES,
    Channels,
    Factor,
    check_limits,
)

AttentionKind = Literal["none", "spatial", "temporal"]
ResampleKind = Literal["none", "strided", "space_to_depth", "nearest", "depth_to_space", "split"]


@dataclass(frozen=True)
class Stage:
    """Residual blocks at one width, then at most one resampling layer."""

    width: Channels
    """Channels of the residual blocks; the first block maps from the width of the input."""

    blocks: Annotated[int, Field(ge=0, le=MAX_BLOCKS)] = 2
    """Number of residual blocks; with 0 the stage only resamples."""

    temporal_kernel: Literal[1, 3] = 1
    """Number of frames that each 3x3 convolution sees: 1 (each frame separately) or 3."""

    attention: AttentionKind = "none"
    """Self-attention among the positions of each frame (spatial), or between each position and its
    own past (temporal)."""

    attention_after: Literal["each", "inner"] = "each"
    """Residual blocks that attention follows: each one, or the inner ones (all but the last)."""

    attention_window: Channels = 8
    """Number of frames that temporal attention sees, including the current one."""

    adaptive_norm: bool = False
    """Whether the stage starts with a group norm whose gain and shift follow the statistics of the
    latents (decoders only)."""

    noise: bool = False
    """Whether learned noise is added after every convolution of the blocks (decoders only)."""

    resample: ResampleKind = "none"
    """Layer at the end of the stage: `strided`, `space_to_depth` and `split` reduce the resolution
    (encoders), `nearest`, `depth_to_space` and `split` increase it (decoders)."""

    space: Factor = 2
    """Factor by which the resampling layer changes height and width."""

    time: Factor = 1
    """Factor by which it changes the number of frames: 1 + n frames <-> 1 + n * time frames."""

    resample_width: Channels | None = None
    """Channels after resampling; None keeps `width`."""

    resample_shortcut: bool = True
    """Whether space-to-depth and depth-to-space add their rearranged input to their output."""

    first_frame: Literal["first", "last"] = "last"
    """Frame to keep of the `time` frames that depth-to-space makes of the first frame of a clip."""

    channel_order: Literal["channel_first", "cell_first"] = "channel_first"
    """Order in which space-to-depth and depth-to-space pack cells: channel slowest
    (`channel_first`, as in torch's pixel_shuffle) or channel fastest (`cell_first`)."""

    # For pydantic, which validates configs: unknown keys are errors, docstrings are descriptions.
    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    def __post_init__(self) -> None:
        for name in ("width", "attention_window"):
            check_limits(f"stage {name}", getattr(self, name), MAX_CHANNELS)
        for name in ("space", "time"):
            check_limits(f"stage {name}", getattr(self, name), MAX_FACTOR)
        check_limits("stage blocks", self.blocks, MAX_BLOCKS, low=0)
        if self.resample_width is not None:
            check_limits("stage resample_width", self.resample_width, MAX_CHANNELS)
        if self.temporal_kernel not in (1, 3):
            raise ValueError(f"stage temporal_kernel must be 1 or 3, got {self.temporal_kernel}")

    @property
    def out_width(self) -> int:
        """Channels of the output of the stage."""
        if self.resample == "none" or self.resample_width is None:
            return self.width
        return self.resample_width

    @property
    def cell(self) -> int:
        """Number of positions that resampling merges into one."""
        return self.time * self.space**2

    def attends_after(self, block: int) -> bool:
        """Return whether attention follows the residual block of an index."""
        if self.attention == "none":
            return False
        return self.attention_after == "each" or block < self.blocks - 1


Stages = Annotated[Sequence[Stage], Field(max_length=MAX_STAGES)]


def compression(stages: Sequence[Stage], patch_size: int) -> tuple[int, int]:
    """Return the factors between pixels and latents: `(temporal, spatial)`.

    Raises:
        ValueError: there are no stages, or more stages or blocks than any network has.
    """
    if not stages:
        raise ValueError("stages must contain at least one stage, got none")
    check_limits("the number of stages", len(stages), MAX_STAGES)
    check_limits("the number of blocks in all stages", sum(s.blocks for s in stages), MAX_BLOCKS, 0)
    check_limits("patch_size", patch_size, MAX_FACTOR)
    resampling = [stage for stage in stages if stage.resample != "none"]
    return prod(s.time for s in resampling), patch_size * prod(s.space for s in resampling)
