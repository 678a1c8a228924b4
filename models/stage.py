"""Stage: one row of the table that describes an encoder or a decoder.

A backbone is data: a list of stages, run in order. Each stage is a number of residual blocks at one
width and, after them, at most one resampling layer. An encoder's stages go from the pixels to the
latents, a decoder's from the latents to the pixels; the same row means the same thing in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

ResampleKind = Literal["none", "strided", "space_to_depth", "nearest", "depth_to_space"]


@dataclass(frozen=True)
class Stage:
    """Residual blocks at one width, then at most one resampling layer.

    Args:
        width: channels of the residual blocks; the first block maps from the width that arrives.
        blocks: number of residual blocks (0 is allowed: the stage then only resamples).
        temporal_kernel: frames that each 3x3 convolution sees: 1 (every frame alone) or 3 (causal).
        attention: whether spatial self-attention, frame by frame, follows each residual block.
        resample: how the stage ends; `strided` and `space_to_depth` shrink (encoder), `nearest` and
            `depth_to_space` enlarge (decoder).
        space: factor by which height and width change.
        time: factor by which the frame count changes, as 1 + n frames <-> 1 + n * time frames.
        resample_width: channels after resampling; None keeps `width`.
    """

    width: int
    blocks: int = 2
    temporal_kernel: Literal[1, 3] = 1
    attention: bool = False
    resample: ResampleKind = "none"
    space: int = 2
    time: int = 1
    resample_width: int | None = None

    # Read by pydantic where a config is validated: an unknown key is an error.
    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for name in ("width", "space", "time"):
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


def compression(stages: Sequence[Stage], patch_size: int) -> tuple[int, int]:
    """Temporal and spatial factor between pixels and latents: `(temporal, spatial)`."""
    resampling = [stage for stage in stages if stage.resample != "none"]
    return prod(s.time for s in resampling), patch_size * prod(s.space for s in resampling)
