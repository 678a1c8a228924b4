"""Long clips, chunk by chunk: the state is carried from chunk to chunk, memory does not grow."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from torch import Tensor

from ..models.blocks.stream_state import StreamState
from ..models.causal_autoencoder import CausalDecoder, CausalEncoder
from ..models.receptive_field import sees_whole_clip
from .layout import SizeRule, check_pixels

Chunk = TypeVar("Chunk")
Answer = TypeVar("Answer")


def encode_chunks(
    chunks: Iterable[Tensor], encode: Callable[[Tensor, StreamState], Answer], rule: SizeRule
) -> Iterator[Answer]:
    """Encode chunks (B, 3, T, H, W) of one clip.

    Args:
        chunks: the first of 1 + n*f frames, the others of n*f (f: temporal compression).
        encode: what to do with a chunk; it leaves the state ready for the next one.
        rule: legal sizes.

    Yields:
        The answer to each chunk.
    """
    state = StreamState()
    for chunk in chunks:
        check_pixels(chunk)
        T, H, W = chunk.shape[2:]
        rule.check_chunk(T, first=state.first_chunk)
        rule.check((1, H, W))
        yield encode(chunk, state)


def decode_chunks(
    chunks: Iterable[Chunk], decode: Callable[[Chunk, StreamState], Tensor], looks_ahead: bool
) -> Iterator[Tensor]:
    """Decode chunks of one clip.

    Args:
        chunks: codes.
        decode: what to do with a chunk; it leaves the state ready for the next one.
        looks_ahead: whether the decoder must be told of the last chunk, and answers late.

    Yields:
        Pixels (B, 3, T, H, W) as they become known.
    """
    state = StreamState()
    for chunk, is_last in _mark_last(chunks, wait=looks_ahead):
        state.last_chunk = is_last
        pixels = decode(chunk, state)
        if pixels.shape[2]:
            yield pixels


def check_streamable(network: CausalEncoder | CausalDecoder, state: StreamState) -> None:
    """Raise where a clip arrives in pieces, but only the whole of it gives the right answer."""
    if state.first_chunk:
        return
    if sees_whole_clip(network):
        raise ValueError(
            "this tokenizer's norms span whole clips: encode and decode without a stream"
        )
    if isinstance(network, CausalDecoder) and network.injects_noise:
        raise ValueError("this decoder injects noise into whole clips: decode without a stream")


def _mark_last(items: Iterable[Chunk], wait: bool) -> Iterator[tuple[Chunk, bool]]:
    """Items with whether each is the last one, known only by waiting for the next; else False."""
    if not wait:
        yield from ((item, False) for item in items)
        return
    iterator = iter(items)
    for present in iterator:
        for following in iterator:
            yield present, False
            present = following
        yield present, True
