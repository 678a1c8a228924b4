"""StageBlocks: the layers of one stage of an encoder or a decoder."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .adaptive_norm import AdaptiveGroupNorm
from .attention import SpatialAttention, TemporalAttention
from .block_config import BlockConfig
from .conditions import Conditions
from .residual_block import ResidualBlock
from .stage import Stage
from .stream_state import StreamState
from .timestep import TimestepEmbedder

Layer = Callable[[Tensor], Tensor]


class StageBlocks(nn.Module):
    """One stage: adaptive norm, residual blocks with attention between them, resampling.

    Args:
        in_channels: channels of the input.
        stage: description of the stage.
        resamplers: layer classes that `stage.resample` may name.
        config: options shared by the network.
        latent_channels: channels of the latents that drive adaptive norms; None in encoders.
    """

    gradient_checkpointing: bool = False

    def __init__(
        self,
        in_channels: int,
        stage: Stage,
        resamplers: Mapping[str, type[nn.Module]],
        config: BlockConfig,
        latent_channels: int | None = None,
    ) -> None:
        super().__init__()
        if stage.resample != "none" and stage.resample not in resamplers:
            raise ValueError(
                f"stage resample must be one of none, {', '.join(resamplers)} here, "
                f"got {stage.resample}"
            )
        if latent_channels is None and (stage.adaptive_norm or stage.noise):
            raise ValueError("adaptive_norm and noise are options of decoder stages only")
        widths = [in_channels] + [stage.width] * stage.blocks
        if widths[-1] != stage.width:
            raise ValueError(
                f"a stage without blocks must have the width of its input, {in_channels}, "
                f"got {stage.width}"
            )
        self.adaptive_norm = (
            AdaptiveGroupNorm(in_channels, latent_channels, config)
            if stage.adaptive_norm and latent_channels
            else None
        )
        self.time_embedder = (
            TimestepEmbedder(4 * stage.width) if config.timestep and stage.blocks else None
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(a, b, stage.temporal_kernel, config, stage.noise)
            for a, b in pairwise(widths)
        )
        self.attentions = nn.ModuleDict(
            {
                str(index): _attention(stage, config)
                for index in range(stage.blocks)
                if stage.attends_after(index)
            }
        )
        self.resample = (
            None if stage.resample == "none" else resamplers[stage.resample](stage, config)
        )

    def forward(
        self,
        x: Float[Tensor, "B Cin T H W"],
        state: StreamState | None = None,
        conditions: Conditions = Conditions(),
    ) -> Float[Tensor, "B Cout t h w"]:
        """Run all layers of the stage."""
        for layer in self.layers(state, conditions):
            x = layer(x)
        return x

    def run_blocks(
        self,
        x: Float[Tensor, "B Cin T H W"],
        state: StreamState | None = None,
        conditions: Conditions = Conditions(),
    ) -> Float[Tensor, "B Cout T2 H W"]:
        """Run all layers of the stage except the resampling."""
        for layer in self._block_layers(state, conditions):
            x = layer(x)
        return x

    def layers(
        self, state: StreamState | None = None, conditions: Conditions = Conditions()
    ) -> list[Layer]:
        """Return the layers of the stage in the order in which they run."""
        layers = self._block_layers(state, conditions)
        if self.resample is not None:
            layers.append(partial(self.resample, state=state))
        return layers

    def _block_layers(self, state: StreamState | None, conditions: Conditions) -> list[Layer]:
        layers: list[Layer] = []
        if self.adaptive_norm is not None:
            layers.append(partial(self.adaptive_norm, conditions=conditions))
        embedding = None
        if self.time_embedder is not None and conditions.timestep is not None:
            embedding = self.time_embedder(conditions.timestep)
        recompute = self.gradient_checkpointing and torch.is_grad_enabled() and state is None
        for index, block in enumerate(self.blocks):
            run = partial(block, state=state, conditions=conditions, embedding=embedding)
            layers.append(partial(checkpoint, run, use_reentrant=False) if recompute else run)
            if str(index) in self.attentions:
                layers.append(partial(self.attentions[str(index)], state=state))
        return layers


def run_stages(
    stages: Iterable[nn.Module],
    x: Float[Tensor, "B Cin T H W"],
    state: StreamState | None = None,
    conditions: Conditions = Conditions(),
) -> Float[Tensor, "B Cout t h w"]:
    """Run stages in order, layer by layer.

    Calling whole stages instead would keep the input of each alive until its end: one more
    activation where activations are largest.
    """
    for stage in stages:
        assert isinstance(stage, StageBlocks), "networks consist of StageBlocks only"
        for layer in stage.layers(state, conditions):
            x = layer(x)
    return x


def _attention(stage: Stage, config: BlockConfig) -> nn.Module:
    if stage.attention == "spatial":
        return SpatialAttention(stage.width, config)
    return TemporalAttention(stage.width, config, stage.attention_window)
