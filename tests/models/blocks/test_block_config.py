"""The options that blocks share are declared once, and networks take them as flat keywords."""

from dataclasses import fields
from typing import get_type_hints

import pytest

from vistok.component import options_model
from vistok.models.blocks.block_config import (
    BlockConfig,
    BlockOptions,
    DecoderBlockConfig,
    DecoderBlockOptions,
)
from vistok.models.blocks.stage import Stage
from vistok.models.causal_autoencoder import CausalDecoder, CausalEncoder


@pytest.mark.parametrize(
    ("config", "options"), [(BlockConfig, BlockOptions), (DecoderBlockConfig, DecoderBlockOptions)]
)
def test_the_keywords_that_editors_know_are_the_fields(config, options):
    types = get_type_hints(config)
    assert get_type_hints(options) == {f.name: types[f.name] for f in fields(config) if f.init}


def test_decoders_have_three_options_more_than_encoders():
    names = [
        {field.name for field in fields(network.keywords) if field.init}
        for network in (CausalEncoder, CausalDecoder)
    ]
    assert names[1] - names[0] == {"spatial_padding", "causal", "timestep"}
    assert names[0] < names[1]


def test_they_stand_beside_the_other_options_of_a_network():
    model = options_model(CausalDecoder, "causal", frozenset({"in_channels"}))
    checked = model.model_validate(
        {"kind": "causal", "stages": [{"width": 8}], "norm": "group", "causal": False}
    )
    assert {"stages", "patch_size", "norm", "timestep"} <= set(model.model_fields)
    assert checked.model_dump()["norm"] == "group"
    assert checked.model_dump()["temporal_padding"] == "replicate"


def test_an_encoder_refuses_the_options_of_decoders():
    with pytest.raises(TypeError, match="unexpected keyword argument 'causal'"):
        CausalEncoder([Stage(8, 1)], 4, causal=False)


def test_every_stage_option_has_a_description_in_the_schema():
    schema = options_model(CausalEncoder, "causal", frozenset({"out_channels"})).model_json_schema()
    assert all("description" in key for key in schema["$defs"]["Stage"]["properties"].values())
