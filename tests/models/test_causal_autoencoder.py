"""Laws of every backbone: causality, image == first frame, chunked == whole, independence."""

import re

import pytest
import torch

from tiny import awaken
from vistok import VisualTokenizer
from vistok.models.blocks.conditions import Conditions
from vistok.models.blocks.stage import Stage
from vistok.models.blocks.stream_state import StreamState
from vistok.models.causal_autoencoder import CausalDecoder, CausalEncoder

ENCODER = [
    Stage(8, 1, 3, resample="strided", time=2),
    Stage(16, 1, 3, resample="space_to_depth", time=2, resample_width=16),
    Stage(16, 1, 1, attention="spatial"),
]
DECODER = [
    Stage(16, 1, 3, attention="spatial", resample="depth_to_space", time=2, resample_width=8),
    Stage(8, 1, 3, resample="nearest", time=2),
]
EXACT = {"atol": 1e-12, "rtol": 0}  # float64


@pytest.fixture(params=["zeros", "replicate"])
def padding(request):
    return request.param


@pytest.fixture(params=["rms", "none"])
def norm(request):
    return request.param


@pytest.fixture
def encoder(norm, padding):
    net = CausalEncoder(ENCODER, 4, patch_size=2, norm=norm, temporal_padding=padding)
    return awaken(net).double()


@pytest.fixture
def decoder(norm, padding):
    net = CausalDecoder(DECODER, 4, patch_size=2, norm=norm, temporal_padding=padding)
    return awaken(net).double()


def clip(frames: int = 9, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, frames, 16, 24, dtype=torch.double, generator=generator)


def latents(frames: int = 3, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(batch, 4, frames, 2, 3, dtype=torch.double, generator=generator)


def test_shapes_follow_the_compression(encoder, decoder):
    z = encoder(clip())
    assert (encoder.temporal_compression, encoder.spatial_compression) == (4, 8)
    assert z.shape == (1, 4, 3, 2, 3)
    assert decoder(z).shape == (1, 3, 9, 16, 24)


def test_later_frames_cannot_change_earlier_latents(encoder):
    x = clip()
    changed = x.clone()
    changed[:, :, 5:] += 1.0
    torch.testing.assert_close(encoder(x)[:, :, :2], encoder(changed)[:, :, :2], **EXACT)
    assert not torch.equal(encoder(x)[:, :, 2], encoder(changed)[:, :, 2])


def test_later_latents_cannot_change_earlier_frames(decoder):
    z = latents()
    changed = z.clone()
    changed[:, :, 2:] += 1.0
    torch.testing.assert_close(decoder(z)[:, :, :5], decoder(changed)[:, :, :5], **EXACT)
    assert not torch.equal(decoder(z)[:, :, 5:], decoder(changed)[:, :, 5:])


def test_an_image_is_the_first_frame_of_a_clip(encoder, decoder):
    torch.testing.assert_close(encoder(clip()[:, :, :1]), encoder(clip())[:, :, :1], **EXACT)
    z = latents()
    torch.testing.assert_close(decoder(z[:, :, :1]), decoder(z)[:, :, :1], **EXACT)


@pytest.mark.parametrize("cuts", [(1,), (1, 5), (5,)])
def test_streamed_encoding_equals_one_shot(encoder, cuts):
    x = clip()
    state = StreamState()
    chunks = torch.tensor_split(x, cuts, dim=2)
    streamed = torch.cat([encoder(chunk, state) for chunk in chunks], dim=2)
    torch.testing.assert_close(streamed, encoder(x), **EXACT)


@pytest.mark.parametrize("cuts", [(1,), (1, 2), (2,)])
def test_streamed_decoding_equals_one_shot(decoder, cuts):
    z = latents()
    state = StreamState()
    chunks = torch.tensor_split(z, cuts, dim=2)
    streamed = torch.cat([decoder(chunk, state) for chunk in chunks], dim=2)
    torch.testing.assert_close(streamed, decoder(z), **EXACT)


def test_gradients_flow_through_the_chunks_of_a_stream(encoder):
    x = clip().requires_grad_()
    (whole,) = torch.autograd.grad(encoder(x).square().sum(), x)
    state = StreamState()
    streamed = torch.cat([encoder(chunk, state) for chunk in x.split([1, 4, 4], dim=2)], dim=2)
    (chunked,) = torch.autograd.grad(streamed.square().sum(), x)
    torch.testing.assert_close(chunked, whole, atol=1e-10, rtol=0)


def test_clips_of_a_batch_do_not_see_each_other(encoder, decoder):
    x = clip(batch=3)
    torch.testing.assert_close(encoder(x)[1:2], encoder(x[1:2]), **EXACT)
    z = latents(batch=3)
    torch.testing.assert_close(decoder(z)[1:2], decoder(z[1:2]), **EXACT)


DOWN_STAGES = {
    "strided": Stage(4, 1, 3, resample="strided", time=2),
    "space to depth": Stage(4, 1, 3, resample="space_to_depth", time=2, resample_width=8),
    "split": Stage(4, 1, 3, resample="split", time=2),
    "spatial attention": Stage(4, 2, attention="spatial", attention_after="inner"),
    "temporal attention": Stage(4, 1, attention="temporal", attention_window=2),
}
UP_STAGES = {
    "nearest": Stage(4, 1, 3, resample="nearest", time=2),
    "depth to space": Stage(8, 1, 3, resample="depth_to_space", time=2, resample_width=4),
    "split": Stage(4, 1, 3, resample="split", time=2, resample_width=2),
    "adaptive norm": Stage(32, 0, adaptive_norm=True),
}


@pytest.mark.parametrize("name", DOWN_STAGES)
@pytest.mark.parametrize("norm", ["rms", "pixel", "none"])
def test_every_block_of_an_encoder_has_the_right_gradient(name, norm):
    """Finite differences in float64."""
    encoder = awaken(CausalEncoder([DOWN_STAGES[name]], 2, norm=norm)).double()
    x = torch.randn(1, 3, 3, 4, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(encoder, (x,), fast_mode=True)


@pytest.mark.parametrize("name", UP_STAGES)
@pytest.mark.parametrize("causal", [True, False])
def test_every_block_of_a_decoder_has_the_right_gradient(name, causal):
    """Finite differences in float64."""
    decoder = awaken(CausalDecoder([UP_STAGES[name]], 2, causal=causal)).double()
    z = torch.randn(1, 2, 2, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(decoder, (z,), fast_mode=True)


def test_a_block_told_the_timestep_has_the_right_gradient():
    decoder = awaken(CausalDecoder([Stage(4, 1, 3)], 2, timestep=True)).double()
    z = torch.randn(1, 2, 2, 2, 2, dtype=torch.double, requires_grad=True)
    conditions = Conditions(timestep=torch.tensor([0.05]).double())
    assert torch.autograd.gradcheck(lambda z: decoder(z, None, conditions), (z,), fast_mode=True)


def test_group_norm_treats_every_frame_alone():
    encoder = awaken(CausalEncoder([Stage(32, 1)], 4, norm="group")).double()
    x = clip(3)
    torch.testing.assert_close(encoder(x)[:, :, 1:2], encoder(x[:, :, 1:2]), **EXACT)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([Stage(8, 1, resample="nearest")], "resample must be one of none, strided"),
        ([Stage(8, 1, resample="space_to_depth", resample_width=24)], "divides 8 \\* 4, got 24"),
        ([Stage(8, 1), Stage(16, 0)], "a stage without blocks must have the width of its input"),
    ],
)
def test_impossible_stages_are_refused_with_the_rule(stages, message):
    with pytest.raises(ValueError, match=message):
        CausalEncoder(stages, 4)


@pytest.mark.parametrize("field", [{"width": 0}, {"blocks": -1}, {"space": 0}])
def test_impossible_stage_fields_are_refused(field):
    with pytest.raises(ValueError, match=f"stage {next(iter(field))} must be"):
        Stage(**{"width": 8, **field})


@pytest.mark.parametrize("field", ["width", "space", "time", "attention_window", "resample_width"])
@pytest.mark.parametrize("value", [-384, 0, 2**31, 10**20])
def test_sizes_of_stages_are_positive_and_bounded(field, value):
    with pytest.raises(ValueError, match=f"stage {field} must be [<>]= .*, got {value}"):
        Stage(**{"width": 8, field: value})


@pytest.mark.parametrize("value", [2**40, 10**20])
def test_the_number_of_blocks_is_bounded(value):
    with pytest.raises(ValueError, match=f"stage blocks must be <= .*, got {value}"):
        Stage(8, blocks=value)
    with pytest.raises(ValueError, match=r"number of blocks in all stages must be <= .*, got 1200"):
        CausalEncoder([Stage(8, blocks=600)] * 2, 4)


OPTIONS = {"kind": "causal", "stages": [{"width": 8, "blocks": 0}]}
WRONG_OPTIONS = [
    (0, {"in_channels": 1}, "encoder.in_channels: input should be 3, got 1"),
    (0, {"in_channels": -5}, "encoder.in_channels: input should be 3, got -5"),
    (2, {"out_channels": 4}, "decoder.out_channels: input should be 3, got 4"),
    (0, {"patch_size": 10**20}, "encoder.patch_size: input should be less than or equal to"),
    (2, {"patch_size": 0}, "decoder.patch_size: input should be greater than or equal to 1"),
    (0, {"stages": [{"width": 2**31}]}, "encoder.stages.0.width: input should be less than"),
    (2, {"stages": [{"width": 8, "resample_width": False}]}, "decoder.stages.0.resample_width"),
    (2, {"stages": [{"width": 8, "blocks": 2**40}]}, "decoder.stages.0.blocks: input should be"),
    (1, {"kind": "kl", "latent_channels": 2**31}, "bottleneck.latent_channels: input should be"),
    (1, {"kind": "plain", "latent_channels": 0}, "bottleneck.latent_channels: input should be"),
]


@pytest.mark.parametrize(("part", "options", "message"), WRONG_OPTIONS)
def test_options_that_cannot_work_are_refused_by_the_name_of_their_key(part, options, message):
    parts = [OPTIONS, {"kind": "plain", "latent_channels": 4}, OPTIONS]
    parts[part] = {**parts[part], **options}
    encoder, bottleneck, decoder = parts
    with pytest.raises(ValueError, match=re.escape(message)):
        VisualTokenizer(encoder, bottleneck, decoder)
