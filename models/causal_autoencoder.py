"""The encoder and the decoder of every tokenizer: mirror images, assembled from stages.

    encoder   pixels -> patchify -> conv_in -> stages -> norm, SiLU, conv_out -> latents
    decoder   latents -> conv_in -> stages -> norm, SiLU, conv_out -> unpatchify -> pixels

Pixels are (B, 3, T, H, W) in [-1, 1]; an image is a clip of one frame. Nothing here knows about
tokens.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Unpack

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..size_limits import Factor
from .blocks.block_config import (
    BlockConfig,
    BlockOptions,
    DecoderBlockConfig,
    DecoderBlockOptions,
    NormKind,
)
from .blocks.causal_conv import CausalConv3d
from .blocks.conditions import Conditions
from .blocks.downsample import DOWN
from .blocks.norm import make_norm
from .blocks.patchify import ChannelOrder, depth_to_space, space_to_depth
from .blocks.stage import Stage, Stages, compression
from .blocks.stage_blocks import StageBlocks, run_stages
from .blocks.stream_state import StreamState
from .blocks.timestep import TimestepEmbedder, modulation
from .blocks.upsample import UP
from .network import Decoder, Encoder

PatchOrder = Literal["channel_first", "column_first"]


class CausalEncoder(Encoder):
    """Network from pixels to latents.

    Args:
        stages: from pixels to latents; the last width feeds the output convolution.
        out_channels: channels of the latents (set by the bottleneck).
        patch_size: side of the pixel squares that are packed into channels before the first layer.
        patch_order: order in which they are packed; see `patchify.py`.
        in_bias: whether the input convolution has a bias.
        out_kernel: spatial kernel size of the output convolution.
        quant_conv: whether a 1x1x1 convolution of the latents follows.
        in_channels: channels of the pixels, which are RGB.
        **blocks: options of all blocks; see `BlockConfig`.
    """

    keywords: ClassVar[type] = BlockConfig

    def __init__(
        self,
        stages: Stages,
        out_channels: int,
        patch_size: Factor = 1,
        patch_order: PatchOrder = "channel_first",
        in_bias: bool = True,
        out_kernel: Literal[1, 3] = 3,
        quant_conv: bool = False,
        in_channels: Literal[3] = 3,
        **blocks: Unpack[BlockOptions],
    ) -> None:
        super().__init__()
        config = BlockConfig(**blocks)
        self.stage_table = tuple(stages)
        self.patch_size = patch_size
        self.patch_order: ChannelOrder = patch_order
        self.norm = config.norm
        self.out_kernel = out_kernel
        self.temporal_compression, self.spatial_compression = compression(stages, patch_size)
        widths = [stages[0].width, *(stage.out_width for stage in stages)]
        self.conv_in = CausalConv3d(
            in_channels * patch_size**2,
            widths[0],
            kernel=(stages[0].temporal_kernel, 3),
            config=config,
            bias=in_bias,
        )
        self.stages = nn.ModuleList(
            StageBlocks(width, stage, DOWN, config)
            for width, stage in zip(widths, stages, strict=False)
        )
        self.norm_out = make_norm(widths[-1], config)
        self.conv_out = CausalConv3d(
            widths[-1],
            out_channels,
            kernel=(stages[-1].temporal_kernel if out_kernel > 1 else 1, out_kernel),
            config=config,
        )
        self.quant_conv = (
            CausalConv3d(out_channels, out_channels, (1, 1), config=config) if quant_conv else None
        )

    def extra_repr(self) -> str:
        """Describe the patches and the compression for `repr`."""
        side = self.spatial_compression
        compression = f"{self.temporal_compression}x{side}x{side}"
        return f"patch_size={self.patch_size}, compression={compression}"

    def forward(
        self, pixels: Float[Tensor, "B 3 T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B C t h w"]:
        """Encode a clip, or the next chunk of a stream."""
        x = run_stages(self.stages, self.stem(pixels, state), state)
        latents = self.head(x, state)
        if state is not None:
            state.first_chunk = False
        return latents

    def stem(self, pixels: Tensor, state: StreamState | None = None) -> Tensor:
        """Patchify the pixels and apply the input convolution."""
        x = space_to_depth(pixels, time=1, space=self.patch_size, order=self.patch_order)
        return self.conv_in(x, state)

    def head(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """Apply the norm, SiLU and the output convolution(s)."""
        latents = self.conv_out(F.silu(self.norm_out(x)), state)
        return latents if self.quant_conv is None else self.quant_conv(latents)


class CausalDecoder(Decoder):
    """Network from latents to pixels.

    Args:
        stages: from latents to pixels; the first width follows the input convolution.
        in_channels: channels of the latents (set by the bottleneck).
        patch_size: side of the pixel squares that the last layer emits packed into channels.
        patch_order: order in which they are packed; see `patchify.py`.
        post_quant_conv: whether a 1x1x1 convolution of the latents comes first.
        generative: whether the first convolution also receives noise of the latents' shape.
        out_channels: channels of the pixels, which are RGB.
        **blocks: options of all blocks; see `BlockConfig` and `DecoderBlockConfig`.
    """

    keywords: ClassVar[type] = DecoderBlockConfig

    def __init__(
        self,
        stages: Stages,
        in_channels: int,
        patch_size: Factor = 1,
        patch_order: PatchOrder = "channel_first",
        post_quant_conv: bool = False,
        generative: bool = False,
        out_channels: Literal[3] = 3,
        **blocks: Unpack[DecoderBlockOptions],
    ) -> None:
        super().__init__()
        config = DecoderBlockConfig(**blocks)
        self.stage_table = tuple(stages)
        self.patch_size = patch_size
        self.patch_order: ChannelOrder = patch_order
        self.norm = config.norm
        self.causal = config.causal
        self.denoises = config.timestep
        self.injects_noise = any(stage.noise for stage in stages)
        self.generative = generative
        self.temporal_compression, self.spatial_compression = compression(stages, patch_size)
        _check_adaptive_norms(stages, config.norm)
        widths = [stages[0].width, *(stage.out_width for stage in stages)]
        self.post_quant_conv = (
            CausalConv3d(in_channels, in_channels, (1, 1), config=config)
            if post_quant_conv
            else None
        )
        self.conv_in = CausalConv3d(
            2 * in_channels if generative else in_channels,
            widths[0],
            kernel=(stages[0].temporal_kernel, 3),
            config=config,
        )
        self.stages = nn.ModuleList(
            StageBlocks(width, stage, UP, config, latent_channels=in_channels)
            for width, stage in zip(widths, stages, strict=False)
        )
        self.norm_out = make_norm(widths[-1], config)
        self.conv_out = CausalConv3d(
            widths[-1],
            out_channels * patch_size**2,
            kernel=(stages[-1].temporal_kernel, 3),
            config=config,
        )
        self.timestep_scale = nn.Parameter(torch.tensor(1000.0)) if config.timestep else None
        self.time_embedder = TimestepEmbedder(2 * widths[-1]) if config.timestep else None
        self.scale_shift_table = (
            nn.Parameter(torch.randn(2, widths[-1]) / widths[-1] ** 0.5)
            if config.timestep
            else None
        )

    @property
    def last_layer(self) -> CausalConv3d:
        """The output convolution, the last layer with weights."""
        return self.conv_out

    def extra_repr(self) -> str:
        """Describe the patches and the compression for `repr`."""
        side = self.spatial_compression
        compression = f"{self.temporal_compression}x{side}x{side}"
        return f"patch_size={self.patch_size}, compression={compression}"

    def forward(
        self,
        latents: Float[Tensor, "B C t h w"],
        state: StreamState | None = None,
        conditions: Conditions = Conditions(),
    ) -> Float[Tensor, "B 3 T H W"]:
        """Decode latents, or the next chunk of a stream."""
        conditions = self._complete(conditions, latents)
        x = latents if self.post_quant_conv is None else self.post_quant_conv(latents)
        if conditions.noise is not None:
            x = torch.cat([x, conditions.noise], dim=1)
        x = run_stages(self.stages, self.conv_in(x, state), state, conditions)
        pixels = self.head(x, state, conditions)
        if state is not None:
            state.first_chunk = False
        return pixels

    def head(
        self,
        x: Tensor,
        state: StreamState | None = None,
        conditions: Conditions = Conditions(),
    ) -> Tensor:
        """Apply the norm, SiLU and the output convolution, and unpack the patches."""
        x = self._modulate(self.norm_out(x), conditions)
        x = self.conv_out(F.silu(x), state)
        return depth_to_space(x, time=1, space=self.patch_size, order=self.patch_order)

    def _complete(self, conditions: Conditions, latents: Tensor) -> Conditions:
        """Check the side inputs, add the latents, and scale the timestep for the embedders."""
        if self.generative != (conditions.noise is not None):
            raise ValueError(
                f"this decoder is generative: give noise of shape {tuple(latents.shape)}"
                if self.generative
                else "this decoder takes no noise: it is not generative"
            )
        timestep = conditions.timestep
        if self.timestep_scale is None:
            if timestep is not None:
                raise ValueError("this decoder takes no timestep: it does not denoise")
        elif timestep is None:
            raise ValueError("this decoder denoises: give a timestep in [0, 1], for example 0.05")
        else:
            timestep = timestep * self.timestep_scale
        if conditions.latents is not None:
            latents = conditions.latents
        return replace(conditions, latents=latents, timestep=timestep)

    def _modulate(self, x: Tensor, conditions: Conditions) -> Tensor:
        """Modulate the activations of the head by the timestep."""
        if self.time_embedder is None or self.scale_shift_table is None:
            return x
        assert conditions.timestep is not None, "checked on entry"
        embedding = self.time_embedder(conditions.timestep)
        shift, scale = modulation(self.scale_shift_table, embedding)
        return x * (1 + scale) + shift


CausalNetwork = CausalEncoder | CausalDecoder


def _check_adaptive_norms(stages: Sequence[Stage], norm: NormKind) -> None:
    """Refuse statistics of single frames in a decoder that changes the number of frames."""
    time, _ = compression(stages, patch_size=1)
    if time > 1 and norm != "clip_group" and any(stage.adaptive_norm for stage in stages):
        raise ValueError(
            f"adaptive_norm in a decoder that upsamples time by {time} needs norm: clip_group, "
            f"got norm: {norm}"
        )
