"""The encoder and the decoder of every tokenizer: mirror images, assembled from stages.

    encoder   pixels -> patchify -> conv_in -> stages -> norm, SiLU, conv_out -> latents
    decoder   latents -> conv_in -> stages -> norm, SiLU, conv_out -> unpatchify -> pixels

Pixels are (B, 3, T, H, W) in [-1, 1]; an image is a clip of one frame. Nothing here knows of
tokens.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .attention import SpatialAttention
from .causal_conv import CausalConv3d, TemporalPadding
from .norm import NORMS, NormKind
from .patchify import depth_to_space, space_to_depth
from .resample import DOWN, UP
from .residual_block import ResidualBlock
from .stage import Stage, compression
from .stream_state import StreamState


class StageBlocks(nn.Module):
    """One stage: residual blocks (each followed by attention, if asked for), then resampling."""

    def __init__(
        self,
        in_channels: int,
        stage: Stage,
        resamplers: dict[str, type[nn.Module]],
        norm: NormKind,
        temporal_padding: TemporalPadding,
    ) -> None:
        super().__init__()
        if stage.resample != "none" and stage.resample not in resamplers:
            raise ValueError(
                f"stage resample must be one of none, {', '.join(resamplers)} here, "
                f"got {stage.resample}"
            )
        widths = [in_channels] + [stage.width] * stage.blocks
        if widths[-1] != stage.width:
            raise ValueError(
                f"a stage without blocks must have the width that arrives, {in_channels}, "
                f"got {stage.width}"
            )
        self.blocks = nn.ModuleList(
            ResidualBlock(a, b, stage.temporal_kernel, norm, temporal_padding)
            for a, b in pairwise(widths)
        )
        self.attentions = nn.ModuleList(
            SpatialAttention(stage.width, norm) if stage.attention else nn.Identity()
            for _ in range(stage.blocks)
        )
        self.resample = (
            None
            if stage.resample == "none"
            else resamplers[stage.resample](stage, temporal_padding)
        )

    def forward(
        self, x: Float[Tensor, "B Cin T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B Cout t h w"]:
        """Run the stage."""
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            x = attention(block(x, state))
        return x if self.resample is None else self.resample(x, state)


class CausalEncoder(nn.Module):
    """Pixels to latents.

    Args:
        stages: from pixels to latents; the last width feeds the output convolution.
        out_channels: channels of the latents (set by the bottleneck).
        patch_size: side of the pixel squares packed into channels before the first layer.
        norm: kind of normalisation in every block.
        temporal_padding: what causal layers see before the first frame.
        in_channels: channels of the pixels.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        out_channels: int,
        patch_size: int = 1,
        norm: NormKind = "rms",
        temporal_padding: TemporalPadding = "replicate",
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.temporal_compression, self.spatial_compression = compression(stages, patch_size)
        widths = [stages[0].width, *(stage.out_width for stage in stages)]
        kernels = [stages[0].temporal_kernel, stages[-1].temporal_kernel]
        self.conv_in = CausalConv3d(
            in_channels * patch_size**2,
            widths[0],
            kernel=(kernels[0], 3),
            temporal_padding=temporal_padding,
        )
        self.stages = nn.ModuleList(
            StageBlocks(width, stage, DOWN, norm, temporal_padding)
            for width, stage in zip(widths, stages, strict=False)
        )
        self.norm_out = NORMS[norm](widths[-1])
        self.conv_out = CausalConv3d(
            widths[-1], out_channels, kernel=(kernels[1], 3), temporal_padding=temporal_padding
        )

    def forward(
        self, pixels: Float[Tensor, "B 3 T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B C t h w"]:
        """Encode a clip, or the next chunk of a stream."""
        x = space_to_depth(pixels, time=1, space=self.patch_size)
        x = self.conv_in(x, state)
        for stage in self.stages:
            x = stage(x, state)
        latents = self.conv_out(F.silu(self.norm_out(x)), state)
        if state is not None:
            state.first_chunk = False
        return latents


class CausalDecoder(nn.Module):
    """Latents to pixels.

    Args:
        stages: from latents to pixels; the first width follows the input convolution.
        in_channels: channels of the latents (set by the bottleneck).
        patch_size: side of the pixel squares that the last layer emits packed in channels.
        norm: kind of normalisation in every block.
        temporal_padding: what causal layers see before the first frame.
        out_channels: channels of the pixels.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        in_channels: int,
        patch_size: int = 1,
        norm: NormKind = "rms",
        temporal_padding: TemporalPadding = "replicate",
        out_channels: int = 3,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.temporal_compression, self.spatial_compression = compression(stages, patch_size)
        widths = [stages[0].width, *(stage.out_width for stage in stages)]
        kernels = [stages[0].temporal_kernel, stages[-1].temporal_kernel]
        self.conv_in = CausalConv3d(
            in_channels, widths[0], kernel=(kernels[0], 3), temporal_padding=temporal_padding
        )
        self.stages = nn.ModuleList(
            StageBlocks(width, stage, UP, norm, temporal_padding)
            for width, stage in zip(widths, stages, strict=False)
        )
        self.norm_out = NORMS[norm](widths[-1])
        self.conv_out = CausalConv3d(
            widths[-1],
            out_channels * patch_size**2,
            kernel=(kernels[1], 3),
            temporal_padding=temporal_padding,
        )

    def forward(
        self, latents: Float[Tensor, "B C t h w"], state: StreamState | None = None
    ) -> Float[Tensor, "B 3 T H W"]:
        """Decode latents, or the next chunk of a stream."""
        x = self.conv_in(latents, state)
        for stage in self.stages:
            x = stage(x, state)
        x = self.conv_out(F.silu(self.norm_out(x)), state)
        if state is not None:
            state.first_chunk = False
        return depth_to_space(x, time=1, space=self.patch_size)
