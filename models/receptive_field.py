"""Receptive field of a network in space, computed from its stages.

Each layer maps a span of output positions to the span of input positions that it depends on; going
backwards through the layers gives the pixels that a latent sees, or the latents that a pixel sees.
Attention and group norms see the whole frame: the span is then None, as it is for networks other
than the causal ones, of whose layers nothing is known.
"""

from collections.abc import Sequence

from .blocks.stage import Stage
from .causal_autoencoder import CausalDecoder, CausalEncoder
from .network import Decoder, Encoder

Span = tuple[int, int]


def encoder_span(encoder: Encoder, latents: Span) -> Span | None:
    """Return the pixels (first, last) along one axis that latents first ... last depend on.

    Positions outside the image (negative, or past its end) are padding.
    """
    if not isinstance(encoder, CausalEncoder) or sees_whole_frame(encoder):
        return None
    span = _widen(latents, 1) if encoder.out_kernel > 1 else latents
    for stage in reversed(encoder.stage_table):
        span = _before_downsampling(stage, span)
        span = _widen(span, 2 * stage.blocks)
    return _unpatch(_widen(span, 1), encoder.patch_size)


def decoder_span(decoder: Decoder, pixels: Span) -> Span | None:
    """Return the latents (first, last) along one axis that pixels first ... last depend on."""
    if not isinstance(decoder, CausalDecoder) or sees_whole_frame(decoder):
        return None
    span = _widen(_shrink(pixels, decoder.patch_size), 1)
    for stage in reversed(decoder.stage_table):
        span = _before_upsampling(stage, span)
        span = _widen(span, 2 * stage.blocks)
    return _widen(span, 1)


def encoder_radius(encoder: Encoder) -> int | None:
    """Return how many pixels outside its own cell a latent sees, on the side of more."""
    span = encoder_span(encoder, (0, 0))
    if span is None:
        return None
    return max(-span[0], span[1] - (encoder.spatial_compression - 1))


def decoder_radius(decoder: Decoder) -> int | None:
    """Return how many latents outside its own cell a pixel sees, on the side of more."""
    span = decoder_span(decoder, (0, decoder.spatial_compression - 1))
    return None if span is None else max(-span[0], span[1])


def sees_whole_frame(network: Encoder | Decoder) -> bool:
    """Return whether some layer mixes all positions of a frame, or may do so."""
    if not isinstance(network, CausalEncoder | CausalDecoder):
        return True
    stages: Sequence[Stage] = network.stage_table
    return network.norm in ("group", "clip_group") or any(
        stage.adaptive_norm or (stage.attention == "spatial" and stage.attends_after(0))
        for stage in stages
    )


def sees_whole_clip(network: Encoder | Decoder) -> bool:
    """Return whether some layer mixes all frames of a clip, which then cannot be streamed."""
    if not isinstance(network, CausalEncoder | CausalDecoder):
        return not network.framewise
    return network.norm == "clip_group"


def _before_downsampling(stage: Stage, span: Span) -> Span:
    """Return the input span of the resampling layer of an encoder stage."""
    if stage.resample == "none":
        return span
    first, last = span
    if stage.resample == "strided":  # 3x3, padding 1
        return first * stage.space - 1, last * stage.space + 1
    if stage.resample == "split":  # 3x3, padding only below and to the right
        return first * stage.space, last * stage.space + 2
    return _widen(_unpatch(span, stage.space), 1)


def _before_upsampling(stage: Stage, span: Span) -> Span:
    """Return the input span of the resampling layer of a decoder stage."""
    if stage.resample == "none":
        return span
    if stage.resample == "depth_to_space":
        return _widen(_shrink(span, stage.space), 1)
    return _shrink(_widen(span, 1), stage.space)


def _widen(span: Span, by: int) -> Span:
    return span[0] - by, span[1] + by


def _unpatch(span: Span, factor: int) -> Span:
    return span[0] * factor, (span[1] + 1) * factor - 1


def _shrink(span: Span, factor: int) -> Span:
    return span[0] // factor, span[1] // factor
