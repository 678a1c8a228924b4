"""Seams: a step at the border of tiles is found there; exact tiling has none."""

import pytest

from planted import Planted, photos
from tiny import tiny_tokenizer
from vistok.eval.diagnostics.diagnostic import DiagnosticInputs, NotExaminedError
from vistok.eval.diagnostics.seams import Seams, near_seams
from vistok.eval.reconstructors.saved_tokenizer import TokenizerReconstructor


def step_at_the_border(x, tile):
    x = x.clone()
    x[..., tile : tile + 2] += 6.0
    return x


def test_a_step_between_tiles_is_found():
    inputs = DiagnosticInputs((photos(64) // 2), None)
    finding = Seams().run(Planted(tiled_artifact=step_at_the_border), inputs)
    assert finding.numbers["largest_levels"] == pytest.approx(6.0, abs=1e-3)
    assert finding.numbers["elsewhere_rms_levels"] < 1e-4 < 1.0 < finding.numbers["seam_rms_levels"]
    assert "by up to 6.0 gray levels" in finding.summary


def test_a_tokenizer_of_finite_reach_tiles_exactly_and_one_that_sees_all_does_not():
    exact = TokenizerReconstructor(
        "exact", tiny_tokenizer("image", {"kind": "plain", "latent_channels": 4})
    )
    finding = Seams().run(exact, DiagnosticInputs(photos(64), None))
    assert finding.numbers["largest_levels"] < 0.01
    seeing_all = tiny_tokenizer("video", {"kind": "plain", "latent_channels": 4})
    blended = Seams().run(
        TokenizerReconstructor("blended", seeing_all), DiagnosticInputs(photos(64), None)
    )
    assert blended.numbers["largest_levels"] > finding.numbers["largest_levels"]


def test_what_does_not_tile_is_not_examined():
    with pytest.raises(NotExaminedError, match="does not support tiles"):
        Seams().run(Planted(), DiagnosticInputs(photos(64), None))


def test_the_seam_lies_on_both_sides_of_the_border():
    assert near_seams(8, 4)[0].tolist() == [False, False, True, True, True, True, False, False]
