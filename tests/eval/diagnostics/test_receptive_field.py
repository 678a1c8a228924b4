"""Receptive field: the measured reach is that of the kernel, or what the stages say."""

import pytest
import torch.nn.functional as F

from planted import Planted, photos
from tiny import tiny_tokenizer
from vistok.eval.diagnostics.diagnostic import DiagnosticInputs
from vistok.eval.diagnostics.receptive_field import ReceptiveField
from vistok.eval.reconstructors.saved_tokenizer import TokenizerReconstructor


def box(radius: int):
    """A box filter that sees `radius` pixels on every side."""

    def filtered(x):
        frames = x.flatten(0, 2).unsqueeze(1)
        padded = F.pad(frames, (radius,) * 4, mode="replicate")
        return F.avg_pool2d(padded.double(), 2 * radius + 1, 1).float().view(x.shape)

    return filtered


@pytest.mark.parametrize("radius", [0, 1, 5, 13])
def test_the_reach_of_a_filter_is_its_radius(radius):
    finding = ReceptiveField().run(Planted(box(radius)), DiagnosticInputs(photos(64), None))
    assert finding.numbers["reach_px"] == radius
    assert finding.numbers["tile_overlap_px"] == -(-radius // 8) * 8


def test_what_sees_the_whole_image_has_no_exact_overlap():
    def centred(x):
        return x - x.mean(dim=(3, 4), keepdim=True) + 128

    finding = ReceptiveField().run(Planted(centred), DiagnosticInputs(photos(64), None))
    assert "tile_overlap_px" not in finding.numbers
    assert finding.numbers["reach_of_99_percent_px"] < 5  # nearly all of the change stays in place
    assert "no overlap of tiles is exact" in finding.summary


def test_a_tokenizer_reaches_no_farther_than_its_stages_say():
    tokenizer = tiny_tokenizer("image", {"kind": "plain", "latent_channels": 4})
    finding = ReceptiveField().run(
        TokenizerReconstructor("tiny", tokenizer), DiagnosticInputs(photos(192), None)
    )
    from vistok.models.receptive_field import decoder_radius, encoder_radius

    cell = tokenizer.spatial_compression
    pixels, latents = encoder_radius(tokenizer.encoder), decoder_radius(tokenizer.decoder)
    assert pixels is not None
    assert latents is not None
    assert 0 < finding.numbers["reach_px"] <= pixels + (latents + 2) * cell
