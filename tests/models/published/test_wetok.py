"""WeTok's backbones as data: the published parameter counts, and what the 3-D variant promises."""

import pytest
import torch

from tiny import tiny_wetok
from vistok import VisualTokenizer
from vistok.models.published.wetok import wetok_options, wetok_times

# Multipliers, bits, generative decoder, parameters of encoder and decoder.
PUBLISHED = {
    "24": ((1, 2, 2, 4), 64, False, 193_655_360, 254_750_467),
    "48 and ImageNet f8": ((1, 2, 2, 4), 32, False, 193_622_560, 254_258_947),
    "192 and ImageNet f16": ((1, 1, 2, 2, 4), 32, False, 198_935_328, 261_358_851),
    "768": ((1, 1, 2, 2, 4, 8), 32, True, 720_160_544, 953_518_339),
}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_shapes_have_the_published_parameter_counts(name):
    multipliers, bits, generative, in_encoder, in_decoder = PUBLISHED[name]
    encoder, decoder = wetok_options(256, multipliers, generative=generative)
    quantizer = {"kind": "gq", "num_groups": bits // 8}
    with torch.device("meta"):
        tokenizer = VisualTokenizer(
            {"kind": "causal", **encoder}, quantizer, {"kind": "causal", **decoder}
        )
    assert (count(tokenizer.encoder), count(tokenizer.decoder)) == (in_encoder, in_decoder)
    stride = 2 ** (len(multipliers) - 1)
    assert tokenizer.spatial_compression == stride
    assert 24 * stride**2 / bits == int(name.split()[0])


@pytest.fixture(scope="module")
def video() -> VisualTokenizer:
    return tiny_wetok((1, 2, 2), times=wetok_times((1, 2, 2)))


def clip(frames: int) -> torch.Tensor:
    return torch.rand(1, 3, frames, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    ("multipliers", "times"), [((1, 2, 2, 4), (1, 2, 2)), ((1, 1), (1,)), ((2, 1, 4), (2, 1))]
)
def test_levels_of_the_base_width_keep_the_frames(multipliers, times):
    assert wetok_times(multipliers) == times


@pytest.mark.parametrize(("frames", "latent_frames"), [(1, 1), (3, 2), (9, 5)])
def test_clips_of_the_3d_variant_come_back_at_their_length(video, frames, latent_frames):
    e = video.encode(clip(frames))
    assert e.code.shape == (1, 8, latent_frames, 2, 2)
    assert video.decode(e.codes).shape == (1, 3, frames, 8, 8)


def test_its_norms_span_clips_so_that_every_frame_feels_the_others(video):
    x = clip(5)
    changed = x.clone()
    changed[:, :, -1] = 0
    first, other = video.encode(x).latent, video.encode(changed).latent
    assert not torch.allclose(first[:, :, 0], other[:, :, 0], atol=1e-3)


def test_it_refuses_to_stream(video):
    assert not video.streams
    with pytest.raises(ValueError, match="takes whole clips only"):
        list(video.encode_stream(clip(5).split([1, 4], dim=2)))
    code = video.encode(clip(5)).code
    with pytest.raises(ValueError, match="takes whole clips only"):
        list(video.decode_stream(code.split(1, dim=2)))
    (whole,) = video.decode_stream([code])
    torch.testing.assert_close(whole, video.decode(code))


def test_statistics_of_frames_cannot_serve_a_decoder_that_makes_frames():
    encoder, decoder = wetok_options(32, (2, 2), 1, times=(2,))
    with pytest.raises(ValueError, match="needs norm: clip_group, got norm: group"):
        VisualTokenizer(
            {"kind": "causal", **encoder},
            {"kind": "gq"},
            {"kind": "causal", **decoder, "norm": "group"},
        )


def test_the_first_layer_keeps_the_base_width_where_the_first_level_widens():
    encoder, _ = wetok_options(32, (2, 2), 1)
    assert [stage["width"] for stage in encoder["stages"]] == [32, 64, 64, 64]
    with pytest.raises(ValueError, match="one factor per downsampling, 1, got 2"):
        wetok_options(32, (1, 2), times=(1, 2))


def test_a_single_position_is_too_few_for_its_statistics():
    tokenizer = tiny_wetok((2, 2))
    with pytest.raises(ValueError, match=r"at least 2 positions .* got a grid of \(1, 1, 1\)"):
        tokenizer.reconstruct(torch.zeros(1, 3, 1, 2, 2))
