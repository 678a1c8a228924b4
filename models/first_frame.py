"""First-frame enhancement (OneVAE, arXiv 2508.09857): the first frame keeps twice the resolution.

The first frame skips the last downsampling of the encoder and the first upsampling of the decoder;
all other layers run on it with the weights that they have for the rest of the clip. The decoder has
two small extra layers. Latents are the grids (first, rest), or (first,) for an image.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .blocks.block_config import BlockConfig
from .blocks.conditions import Conditions
from .blocks.downsample import SplitDown
from .blocks.stage import Stage
from .blocks.stage_blocks import StageBlocks, run_stages
from .blocks.stream_state import StreamState, continues
from .causal_autoencoder import CausalDecoder, CausalEncoder

Grids = tuple[Tensor, ...]


class FirstFrameEncoder(nn.Module):
    """Encoder whose first frame skips the last downsampling.

    Args:
        network: the encoder.
    """

    def __init__(self, network: CausalEncoder) -> None:
        super().__init__()
        self.network = network
        resampling = [i for i, stage in enumerate(network.stage_table) if stage.resample != "none"]
        self.last_down = resampling[-1]

    def forward(
        self, pixels: Float[Tensor, "B 3 T H W"], state: StreamState | None = None
    ) -> Grids:
        """Encode a clip (or the next chunk of a stream) to (first, rest)."""
        net = self.network
        begins = not continues(state)
        x = run_stages(net.stages[: self.last_down], net.stem(pixels, state), state)
        last = stage_at(net.stages, self.last_down)
        assert last.resample is not None, "the last stage that resamples"
        x = last.run_blocks(x, state)
        first = self._bottom(x[:, :, :1]) if begins else None
        rest = self._bottom(last.resample(x, state), state)
        if state is not None:
            state.first_chunk = False
        if first is None:
            return (rest,)
        return (first, rest[:, :, 1:]) if rest.shape[2] > 1 else (first,)

    def _bottom(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """Run the layers after the last downsampling."""
        x = run_stages(self.network.stages[self.last_down + 1 :], x, state)
        return self.network.head(x, state)


class FirstFrameDecoder(nn.Module):
    """Decoder whose first frame skips the first upsampling.

    Args:
        network: the decoder.
        latent_channels: channels of the latents.
    """

    def __init__(self, network: CausalDecoder, latent_channels: int) -> None:
        super().__init__()
        self.network = network
        table = network.stage_table
        self.first_up = next(i for i, stage in enumerate(table) if stage.resample != "none")
        up = table[self.first_up]
        shrink = Stage(latent_channels, 0, resample="split")
        self.downsample_first = SplitDown(shrink, BlockConfig())
        self.widen_first = nn.Conv3d(up.width, up.out_width, 1)

    def forward(
        self,
        grids: Grids,
        state: StreamState | None = None,
        conditions: Conditions = Conditions(),
    ) -> Float[Tensor, "B 3 T H W"]:
        """Decode (first, rest), (first,) for an image, or (rest,) for a later chunk of a stream."""
        net = self.network
        begins = not continues(state)
        first = grids[0] if begins else None
        rest = grids[len(grids) - 1] if len(grids) > 1 or not begins else None
        parts = [] if first is None else [self.downsample_first(first)]
        if rest is not None:
            parts.append(rest if net.post_quant_conv is None else net.post_quant_conv(rest))
        x = self._top(torch.cat(parts, dim=2), state, conditions)
        up = stage_at(net.stages, self.first_up).resample
        assert up is not None, "the first stage that resamples"
        x = up(x, state)
        if first is not None:
            sharp = self.widen_first(self._top(first, None, conditions))
            x = torch.cat([sharp, x[:, :, 1:]], dim=2)
        x = run_stages(net.stages[self.first_up + 1 :], x, state, conditions)
        pixels = net.head(x, state, conditions)
        if state is not None:
            state.first_chunk = False
        return pixels

    def _top(self, latents: Tensor, state: StreamState | None, conditions: Conditions) -> Tensor:
        """Run the layers before the first upsampling."""
        x = self.network.conv_in(latents, state)
        x = run_stages(self.network.stages[: self.first_up], x, state, conditions)
        return stage_at(self.network.stages, self.first_up).run_blocks(x, state, conditions)


def stage_at(stages: nn.ModuleList, index: int) -> StageBlocks:
    """Return a stage of a network, with its type."""
    stage = stages[index]
    assert isinstance(stage, StageBlocks), "networks consist of StageBlocks only"
    return stage
