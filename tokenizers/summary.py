"""What can be said of a tokenizer without running it: sizes, rates and cost, on the meta device."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from .layout import Size
from .tokenizer import VisualTokenizer


@dataclass(frozen=True)
class Summary:
    """Facts about a tokenizer at one input size.

    Attributes:
        parameters: weights of encoder, bottleneck and decoder.
        compression: pixels per latent position along (T, H, W); the first frame stands alone.
        legal_sizes: the rule in words.
        bottleneck: its kind and size in words.
        size: the (T, H, W) that the following figures are for.
        positions: latent positions.
        tokens: indices, or None when continuous.
        bits_per_pixel: nominal; continuous latents count 16 bits per value.
        encode_multiply_adds: of one clip.
        decode_multiply_adds: of one clip.
        weight_bytes: in fp32.
    """

    parameters: dict[str, int]
    compression: Size
    legal_sizes: str
    bottleneck: str
    size: Size
    positions: int
    tokens: int | None
    bits_per_pixel: float
    encode_multiply_adds: int
    decode_multiply_adds: int
    weight_bytes: int


def summarize(tokenizer: VisualTokenizer, size: Size) -> Summary:
    """Describe a tokenizer, which may live on the meta device.

    Args:
        tokenizer: any tokenizer; it is not run.
        size: (T, H, W) in pixels, legal for it.

    Raises:
        ValueError: the size is not legal.
    """
    layout = tokenizer.layout(size)
    with torch.device("meta"):
        twin = VisualTokenizer(
            tokenizer.config["encoder_config"],
            tokenizer.config["bottleneck_config"],
            tokenizer.config["decoder_config"],
        ).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as encoding:
        latents = twin.encoder(torch.empty(1, 3, *size, device="meta"))
    codes = torch.empty(1, twin.bottleneck.code_dim, *latents.shape[2:], device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as decoding:
        twin.decoder(codes)
    parameters = {
        name: sum(p.numel() for p in part.parameters()) for name, part in twin.named_children()
    }
    time, space = tokenizer.temporal_compression, tokenizer.spatial_compression
    kind = type(tokenizer.bottleneck).__name__
    if tokenizer.is_discrete:
        quantizer = tokenizer.quantizer
        words = f"{kind}, {quantizer.num_groups} group(s) of {quantizer.codebook_size:,} codes"
    else:
        words = f"{kind}, {tokenizer.bottleneck.code_dim} channels"
    return Summary(
        parameters={**parameters, "total": sum(parameters.values())},
        compression=(time, space, space),
        legal_sizes=f"T = 1 + k*{time}, H and W multiples of {space}",
        bottleneck=words,
        size=size,
        positions=layout.num_positions,
        tokens=layout.num_positions * tokenizer.num_groups if tokenizer.is_discrete else None,
        bits_per_pixel=tokenizer.bits_per_pixel(layout),
        encode_multiply_adds=encoding.get_total_flops() // 2,
        decode_multiply_adds=decoding.get_total_flops() // 2,
        weight_bytes=4 * sum(parameters.values()),
    )
