"""The receptive field that stages imply is the one a NaN spreads over."""

import pytest
import torch

from tiny import awaken
from vistok.models.blocks.stage import Stage
from vistok.models.causal_autoencoder import CausalDecoder, CausalEncoder
from vistok.models.receptive_field import (
    decoder_radius,
    decoder_span,
    encoder_radius,
    encoder_span,
)

ENCODERS = {
    "strided": ([Stage(4, 1, resample="strided"), Stage(4, 1)], 2),
    "space to depth": ([Stage(4, 1, resample="space_to_depth", resample_width=8), Stage(8, 1)], 4),
    "split": ([Stage(4, 1, resample="split"), Stage(4, 2)], 1),
    "no downsampling": ([Stage(4, 2)], 2),
}
DECODERS = {
    "nearest": ([Stage(4, 1, resample="nearest"), Stage(4, 1)], 2),
    "depth to space": ([Stage(8, 1, resample="depth_to_space", resample_width=4), Stage(4, 1)], 4),
    "split": ([Stage(4, 2, resample="split"), Stage(4, 1, resample="nearest")], 1),
}


def dependence(network, channels: int, inputs: int, outputs: range) -> tuple[int, int]:
    """First and last input column whose NaN reaches one of the output columns."""
    reached = []
    for column in range(inputs):
        x = torch.zeros(1, channels, 1, 8, inputs)
        x[..., column] = float("nan")
        with torch.no_grad():
            hit = network(x).isnan().any(dim=(0, 1, 2, 3))
        if hit[outputs.start : outputs.stop].any():
            reached.append(column)
    return min(reached), max(reached)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_sees_what_its_stages_say(name):
    stages, patch = ENCODERS[name]
    encoder = awaken(CausalEncoder(stages, 2, patch_size=patch, norm="pixel"))
    f = encoder.spatial_compression
    middle = 10
    span = encoder_span(encoder, (middle, middle + 1))
    assert span == dependence(encoder, 3, 24 * f, range(middle, middle + 2))
    radius = encoder_radius(encoder)
    span = encoder_span(encoder, (0, 0))
    assert span is not None
    assert radius == max(-span[0], span[1] - f + 1)


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_sees_what_its_stages_say(name):
    stages, patch = DECODERS[name]
    decoder = awaken(CausalDecoder(stages, 3, patch_size=patch, norm="pixel"))
    f = decoder.spatial_compression
    pixels = (12 * f, 13 * f - 1)
    span = decoder_span(decoder, pixels)
    assert span is not None
    assert span == dependence(decoder, 3, 26, range(pixels[0], pixels[1] + 1))
    assert decoder_radius(decoder) == max(12 - span[0], span[1] - 12)


@pytest.mark.parametrize(
    ("stages", "norm"), [([Stage(32, 1, attention="spatial")], "rms"), ([Stage(32)], "group")]
)
def test_layers_that_see_whole_frames_have_no_finite_field(stages, norm):
    assert encoder_radius(CausalEncoder(stages, 2, norm=norm)) is None
    assert decoder_radius(CausalDecoder(stages, 2, norm=norm)) is None
