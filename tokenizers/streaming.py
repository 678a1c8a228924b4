"""Streaming: long clips chunk by chunk, with state carried between chunks and constant memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from torch import Tensor

from ..models.blocks.stream_state import StreamState
from ..models.network import Decoder, Encoder
from ..models.receptive_field import sees_whole_clip
from .input_checks import check_pixel_range, check_pixels
from .layout import SizeRule

Chunk = TypeVar("Chunk")
Encoded = TypeVar("Encoded")


def encode_chunks(
    chunks: Iterable[Tensor], encode: Callable[[Tensor, StreamState], Encoded], rule: SizeRule
) -> Iterator[Encoded]:
    """Encode chunks (B, 3, T, H, W) of one clip.

    Args:
        chunks: the first of 1 + n*f frames, the others of n*f, where f is the temporal compression.
        encode: encodes one chunk, and leaves the state ready for the next one.
        rule: legal sizes.

    Yields:
        The encoding of each chunk.

    Raises:
        ValueError: a chunk of an illegal size, or of another one than the first.
    """
    state, frames = StreamState(), FrameSize()
    for chunk in chunks:
        check_pixels(chunk)
        check_pixel_range(chunk)
        frames.check(chunk)
        T, H, W = chunk.shape[2:]
        rule.check_chunk(T, first=state.first_chunk)
        rule.check((rule.first_frames, H, W))
        yield encode(chunk, state)


def decode_chunks(
    chunks: Iterable[Chunk], decode: Callable[[Chunk, StreamState], Tensor], looks_ahead: bool
) -> Iterator[Tensor]:
    """Decode chunks of one clip.

    Args:
        chunks: codes of each chunk.
        decode: decodes one chunk, and leaves the state ready for the next one.
        looks_ahead: whether the decoder yields late, and must know which chunk is the last one.

    Yields:
        Pixels (B, 3, T, H, W) as they become available.
    """
    state = StreamState()
    for chunk, is_last in _mark_last(chunks, wait=looks_ahead):
        state.last_chunk = is_last
        pixels = decode(chunk, state)
        if pixels.shape[2]:
            yield pixels


class FrameSize:
    """The batch, height and width that all chunks of a stream have in common."""

    def __init__(self) -> None:
        self._first: tuple[int, int, int] | None = None

    def check(self, chunk: Tensor) -> None:
        """Raise unless a chunk (B, C, T, H, W) matches the first one.

        The state of the stream would otherwise not fit, or be another clip's.
        """
        B, _, _, H, W = chunk.shape
        self._first = self._first or (B, H, W)
        if self._first != (B, H, W):
            raise ValueError(
                "every chunk of a stream must have the batch, height and width of the first, "
                f"{self._first}, got {(B, H, W)}; start another stream for another clip"
            )


def check_streamable(network: Encoder | Decoder, state: StreamState) -> None:
    """Raise at the second chunk if the network needs whole clips."""
    if state.first_chunk:
        return
    if sees_whole_clip(network):
        raise ValueError(
            "this tokenizer takes whole clips only: encode and decode without a stream"
        )
    if isinstance(network, Decoder) and network.injects_noise:
        raise ValueError("this decoder injects noise into whole clips: decode without a stream")


def _mark_last(items: Iterable[Chunk], wait: bool) -> Iterator[tuple[Chunk, bool]]:
    """Yield items and whether each is the last; without `wait` for the next one, always False."""
    if not wait:
        yield from ((item, False) for item in items)
        return
    iterator = iter(items)
    for present in iterator:
        for following in iterator:
            yield present, False
            present = following
        yield present, True
