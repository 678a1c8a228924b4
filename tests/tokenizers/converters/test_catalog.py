"""Families by name: unknown ones and options without effect are refused."""

import pytest

from vistok.tokenizers.converters.catalog import CONVERTERS, make_converter
from vistok.tokenizers.converters.wetok import WeTokConverter


def test_options_that_were_not_given_keep_their_defaults():
    made = make_converter("wetok", {"weights": None, "bits_per_group": 4})
    assert made == WeTokConverter(weights="ema", bits_per_group=4)


def test_unknown_families_and_idle_options_are_refused():
    with pytest.raises(
        ValueError, match="must be one of diffusers, kl, wetok, got 'wetoc'; did you mean wetok"
    ):
        make_converter("wetoc", {})
    with pytest.raises(ValueError, match="--latent-scale has no effect on wetok"):
        make_converter("wetok", {"latent_scale": 2})
    with pytest.raises(ValueError, match="--weights has no effect on kl, which has no options"):
        make_converter("kl", {"weights": "raw"})


def test_the_command_line_names_every_family():
    from typer.testing import CliRunner

    from vistok.cli.app import app

    shown = CliRunner().invoke(app, ["convert", "--help"]).stdout
    assert all(family in shown for family in CONVERTERS)
