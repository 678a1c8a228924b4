"""Stage: one row of the table that describes an encoder or a decoder.

A backbone is data: a list of stages, run in order. Each stage is a number of residual blocks at one
width and, after them, at most one resampling layer. An encoder's stages go from the pixels to the
latents, a decoder's from the latents to the pixels; the same row means the same thing in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

AttentionKind = Literal["none", "spatial", "temporal"]
ResampleKind = Literal["none", "strided", "space_to_depth", "nearest", "depth_to_space", "split"]


@dataclass(frozen=True)
class Stage:
    """Residual blocks at one width, then at most one resampling layer.

    Args:
        width: channels of the residual blocks; the first block maps from the width that arrives.
        blocks: number of residual blocks (0 is allowed: the stage then only resamples).
        temporal_kernel: frames that each 3x3 convolution sees: 1 (every frame alone) or 3.
        attention: self-attention among the positions of each frame (spatial), or of each position
            with its own past (temporal).
        attention_after: each residual block, or the inner ones (all but the last).
        attention_window: frames that temporal attention sees, the present one included.
        adaptive_norm: whether the stage begins with a group norm whose gain and shift follow the
            statistics of the latents (decoders only).
        noise: whether every convolution of the blocks is followed by learned noise (decoders only).
        resample: how the stage ends; `strided`, `space_to_depth` and `split` shrink (encoder),
            `nearest`, `depth_to_space` and `split` enlarge (decoder).
        space: factor by which height and width change.
        time: factor by which the frame count changes, as 1 + n frames <-> 1 + n * time frames.
        resample_width: channels after resampling; None keeps `width`.
        resample_shortcut: whether space-to-depth and depth-to-space add their rearranged input.
        first_frame: which of the `time` frames that depth-to-space makes of the clip's first one is
            kept.
        channel_order: how cells are packed by them: channel slowest (`channel_first`, as in
            torch's pixel_shuffle) or channel fastest (`cell_first`).
    """

    width: int
    blocks: int = 2
    temporal_kernel: Literal[1, 3] = 1
    attention: AttentionKind = "none"
    attention_after: Literal["each", "inner"] = "each"
    attention_window: int = 8
    adaptive_norm: bool = False
    noise: bool = False
    resample: ResampleKind = "none"
    space: int = 2
    time: int = 1
    resample_width: int | None = None
    resample_shortcut: bool = True
    first_frame: Literal["first", "last"] = "last"
    channel_order: Literal["channel_first", "cell_first"] = "channel_first"

    # Read by pydantic where a config is validated: an unknown key is an error.
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for name in ("width", "space", "time", "attention_window"):
            if getattr(self, name) < 1:
                raise ValueError(f"stage {name} must be >= 1, got {getattr(self, name)}")
        if self.blocks < 0:
            raise ValueError(f"stage blocks must be >= 0, got {self.blocks}")
        if self.temporal_kernel not in (1, 3):
            raise ValueError(f"stage temporal_kernel must be 1 or 3, got {self.temporal_kernel}")

    @property
    def out_width(self) -> int:
        """Channels that leave the stage."""
        if self.resample == "none" or self.resample_width is None:
            return self.width
        return self.resample_width

    @property
    def cell(self) -> int:
        """Positions that resampling gathers into one."""
        return self.time * self.space**2

    def attends_after(self, block: int) -> bool:
        """Whether attention follows the residual block of that index."""
        if self.attention == "none":
            return False
        return self.attention_after == "each" or block < self.blocks - 1


def compression(stages: Sequence[Stage], patch_size: int) -> tuple[int, int]:
    """Temporal and spatial factor between pixels and latents: `(temporal, spatial)`.

    Raises:
        ValueError: there is no stage.
    """
    if not stages:
        raise ValueError("stages must hold at least one stage, got none")
    resampling = [stage for stage in stages if stage.resample != "none"]
    return prod(s.time for s in resampling), patch_size * prod(s.space for s in resampling)
