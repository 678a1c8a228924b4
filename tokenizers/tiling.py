"""Spatial tiling: large frames tile by tile, in memory that does not grow with the frame.

Where a network's receptive field is finite, every tile is computed with all surroundings that it
depends on, and the tiles together equal the whole up to rounding. Where a layer depends on whole
frames (attention, group norm) no tiling is exact: tiles then overlap and are blended with
complementary weights, and a warning is logged.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from ..models.blocks.conditions import Conditions
from ..models.blocks.stream_state import StreamState
from ..models.network import Decoder, Encoder
from ..models.receptive_field import Span, decoder_span, encoder_span, sees_whole_frame

log = logging.getLogger(__name__)

BLEND_SHARE = 4  # blended tiles overlap by a quarter of their side


@dataclass(frozen=True)
class Piece:
    """One axis of one tile, in positions of input and output.

    Attributes:
        take: input positions passed to the network.
        put: output positions that the tile contributes to.
        offset: position in the network's output at which `put` begins.
    """

    take: slice
    put: slice
    offset: int


class TiledEncoder:
    """An encoder that works tile by tile, and is called like the encoder itself.

    Args:
        encoder: the network.
        tile: side of the tiles' cores, in pixels.
    """

    def __init__(self, encoder: Encoder, tile: int) -> None:
        self.encoder, self.factor = encoder, encoder.spatial_compression
        self.tile = _check_tile(tile, self.factor, encoder) // self.factor

    def __call__(
        self, pixels: Float[Tensor, "B 3 T H W"], state: StreamState | None = None
    ) -> Float[Tensor, "B C t h w"]:
        """Encode a clip, or the next chunk of a stream."""
        H, W = (side // self.factor for side in pixels.shape[3:])
        axes = [
            _pieces(side, self.tile, self._surroundings, take=self.factor, put=1) for side in (H, W)
        ]
        moments = _assemble(pixels, axes, size=(H, W), state=state, network=self.encoder)
        if state is not None:
            state.first_chunk = False
        return moments

    def _surroundings(self, latents: Span) -> Span | None:
        span = encoder_span(self.encoder, latents)
        return None if span is None else (span[0] // self.factor, span[1] // self.factor)


class TiledDecoder:
    """A decoder that works tile by tile, and is called like the decoder itself.

    Args:
        decoder: the network.
        tile: side of the tiles' cores, in pixels.
    """

    def __init__(self, decoder: Decoder, tile: int) -> None:
        if decoder.injects_noise:
            raise ValueError("this decoder injects noise into whole frames: decode without tiles")
        self.decoder, self.factor = decoder, decoder.spatial_compression
        self.tile = _check_tile(tile, self.factor, decoder) // self.factor

    def __call__(
        self,
        latents: Float[Tensor, "B C t h w"],
        state: StreamState | None = None,
        conditions: Conditions = Conditions(),
    ) -> Float[Tensor, "B 3 T H W"]:
        """Decode latents, or the next chunk of a stream."""
        channels, h, w = (latents.shape[axis] for axis in (1, 3, 4))
        axes = [
            _pieces(side, self.tile, self._surroundings, take=1, put=self.factor) for side in (h, w)
        ]
        size = h * self.factor, w * self.factor

        def decode(x: Tensor, state: StreamState | None) -> Tensor:
            noise = None if conditions.noise is None else x[:, channels:]
            # Adaptive norms take their statistics from whole frames, as they would without tiles.
            inputs = replace(conditions, latents=latents, noise=noise)
            return self.decoder(x[:, :channels], state, inputs)

        # Noise is tiled like the latents that it belongs to.
        noise = conditions.noise
        x = latents if noise is None else torch.cat([latents, noise], dim=1)
        pixels = _assemble(x, axes, size=size, state=state, network=decode)
        if state is not None:
            state.first_chunk = False
        return pixels

    def _surroundings(self, latents: Span) -> Span | None:
        first, last = latents
        return decoder_span(self.decoder, (first * self.factor, (last + 1) * self.factor - 1))


def _check_tile(tile: int, factor: int, network: Encoder | Decoder) -> int:
    if tile < factor or tile % factor:
        raise ValueError(f"tile must be a positive multiple of {factor} pixels, got {tile}")
    if sees_whole_frame(network):
        _warn_once(type(network).__name__)
    return tile


@cache
def _warn_once(network: str) -> None:
    log.warning(
        "%s depends on whole frames (attention or group norm): tiles are blended, not exact",
        network,
    )


def _pieces(
    side: int, tile: int, surroundings: Callable[[Span], Span | None], take: int, put: int
) -> list[Piece]:
    """Cut one axis of `side` cells; a cell is `take` input and `put` output positions."""
    pieces = []
    for first in range(0, side, tile):
        last = min(first + tile, side) - 1
        seen = surroundings((first, last))
        if seen is None:  # blended: the tile overlaps its neighbors, and contributes all of itself
            reach = tile // BLEND_SHARE
            first, last = max(0, first - reach), min(side - 1, last + reach)
            seen = first, last
        begin, end = max(0, seen[0]), min(side - 1, seen[1]) + 1
        pieces.append(
            Piece(
                take=slice(begin * take, end * take),
                put=slice(first * put, (last + 1) * put),
                offset=(first - begin) * put,
            )
        )
    return pieces


def _assemble(
    x: Tensor,
    axes: list[list[Piece]],
    size: tuple[int, int],
    state: StreamState | None,
    network: Callable[[Tensor, StreamState | None], Tensor],
) -> Tensor:
    """Run the network on every tile, and add up the outputs with their weights."""
    result: Tensor | None = None
    weights = x.new_zeros(size)
    for index, (rows, columns) in enumerate(product(*axes)):
        branch = None if state is None else state.branch(index)
        output = network(x[..., rows.take, columns.take].contiguous(), branch)
        output = _crop(_crop(output, rows, dim=3), columns, dim=4)
        if result is None:
            result = output.new_zeros(*output.shape[:3], *size)
        weight = torch.outer(_ramp(rows, axes[0], x), _ramp(columns, axes[1], x))
        result[..., rows.put, columns.put] += output * weight
        weights[rows.put, columns.put] += weight
    assert result is not None, "a frame has at least one tile"
    return result / weights


def _crop(output: Tensor, piece: Piece, dim: int) -> Tensor:
    return output.narrow(dim, piece.offset, piece.put.stop - piece.put.start)


def _ramp(piece: Piece, axis: list[Piece], like: Tensor) -> Tensor:
    """Return the weights along one axis: 1, falling linearly where a neighbor overlaps."""
    start, stop = piece.put.start, piece.put.stop
    weight = like.new_ones(stop - start)
    for other in axis:
        begin, end = max(start, other.put.start), min(stop, other.put.stop)
        if other is piece or begin >= end:
            continue
        rising = (torch.arange(end - begin, device=like.device) + 0.5) / (end - begin)
        slope = rising if other.put.start < start else rising.flip(0)
        weight[begin - start : end - start] = slope.to(like.dtype)
    return weight
