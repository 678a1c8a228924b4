"""Static summary of a tokenizer: sizes, rates, receptive fields and cost."""

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..models.cost import measure_cost
from ..models.receptive_field import decoder_radius, encoder_radius
from .layout import Size
from .tokenizer import VisualTokenizer


@dataclass(frozen=True)
class Summary:
    """Properties of a tokenizer at one input size.

    Attributes:
        parameters: number of weights of encoder, bottleneck, decoder and all together.
        compression: pixels per latent position along (T, H, W); the first frame is coded alone.
        legal_sizes: the rule for legal sizes in words.
        bottleneck: kind and size of the bottleneck in words.
        encoder_radius: pixels beyond its own cell that a latent depends on; None if on all.
        decoder_radius: latents beyond its own cell that a pixel depends on; None if on all.
        size: the (T, H, W) that the following values hold for.
        positions: number of latent positions.
        tokens: number of indices, or None when continuous.
        bits_per_pixel: nominal rate; continuous latents count 16 bits per value.
        encode_multiply_adds: multiply-adds of encoding one clip.
        decode_multiply_adds: multiply-adds of decoding one clip.
        weight_bytes: size of the weights in fp32.
        encode_bytes: peak size of all activations while encoding one clip in fp32.
        decode_bytes: peak size of all activations while decoding one clip in fp32.
    """

    parameters: dict[str, int]
    compression: Size
    legal_sizes: str
    bottleneck: str
    encoder_radius: int | None
    decoder_radius: int | None
    size: Size
    positions: int
    tokens: int | None
    bits_per_pixel: float
    encode_multiply_adds: int
    decode_multiply_adds: int
    weight_bytes: int
    encode_bytes: int
    decode_bytes: int


def summarize(tokenizer: VisualTokenizer, size: Size) -> Summary:
    """Describe a tokenizer without running it; it may be on the meta device.

    Args:
        tokenizer: any tokenizer.
        size: (T, H, W) in pixels, legal for it.

    Raises:
        ValueError: the size is not legal.
    """
    layout = tokenizer.layout(size)
    twin: Any = _without_memory(tokenizer).eval()
    encoding = measure_cost(twin.encoder, (1, 3, *size))
    decoding = measure_cost(twin.decode, (1, twin.bottleneck.code_dim, *layout.grids[0]))
    parameters = {
        name: sum(p.numel() for p in part.parameters()) for name, part in twin.named_children()
    }
    time, space = tokenizer.temporal_compression, tokenizer.spatial_compression
    return Summary(
        parameters={**parameters, "total": sum(parameters.values())},
        compression=(time, space, space),
        legal_sizes=str(tokenizer.size_rule),
        bottleneck=_describe_bottleneck(tokenizer),
        encoder_radius=encoder_radius(tokenizer.encoder),
        decoder_radius=decoder_radius(tokenizer.decoder),
        size=size,
        positions=layout.num_positions,
        tokens=layout.num_positions * tokenizer.num_groups if tokenizer.is_discrete else None,
        bits_per_pixel=tokenizer.bits_per_pixel(layout),
        encode_multiply_adds=encoding.multiply_adds,
        decode_multiply_adds=decoding.multiply_adds,
        weight_bytes=4 * sum(parameters.values()),
        encode_bytes=encoding.peak_bytes,
        decode_bytes=decoding.peak_bytes,
    )


def _without_memory(tokenizer: VisualTokenizer) -> VisualTokenizer:
    """Return a copy on the meta device; the weights themselves are not copied."""
    tensors = [*tokenizer.parameters(), *tokenizer.buffers()]
    memory = {id(tensor): _on_meta(tensor) for tensor in tensors}
    return copy.deepcopy(tokenizer, memory)


def _on_meta(tensor: Tensor) -> Tensor:
    empty = tensor.detach().to("meta")
    is_weight = isinstance(tensor, nn.Parameter)
    return nn.Parameter(empty, tensor.requires_grad) if is_weight else empty


def _describe_bottleneck(tokenizer: VisualTokenizer) -> str:
    kind = type(tokenizer.bottleneck).__name__
    parts = [kind]
    if "discrete" in tokenizer.paths:
        parts.append(f"{tokenizer.num_groups} group(s) of {tokenizer.codebook_size:,} codes")
    if "continuous" in tokenizer.paths:
        parts.append(f"{tokenizer.bottleneck.code_dim} channels")
    return ", ".join(parts)
