"""The entropy loss: its equations, and its options as keywords of every quantizer that has it."""

import inspect
from dataclasses import fields
from typing import get_args, get_type_hints

import pytest
import torch

from vistok import BSQ, GQ, IBQ, LFQ
from vistok.component import options_model
from vistok.tokenizers.entropy.binary_loss import BinaryLoss
from vistok.tokenizers.entropy.entropy_loss import EntropyLoss

WITH_ENTROPY_LOSS = [LFQ, GQ, BSQ, IBQ]
DEFAULTS = {
    "temperature": 0.01,
    "entropy_weight": 0.1,
    "sample_entropy_weight": 1.0,
    "codebook_entropy_weight": 1.0,
    "entropy_eps": 1e-5,
}
BINARY_DEFAULTS = {**DEFAULTS, "reduction": "paper", "commitment_weight": 0.25}


def test_the_loss_is_the_equation():
    options = EntropyLoss(
        entropy_weight=0.3,
        sample_entropy_weight=2.0,
        codebook_entropy_weight=0.5,
        entropy_eps=1e-3,
    )
    p = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5]])
    expected = -(p * (p + 1e-3).log()).sum(dim=1)
    torch.testing.assert_close(options.codebook_entropy(p), expected)
    loss = options.loss(torch.tensor(0.7), torch.tensor(0.9))
    torch.testing.assert_close(loss, torch.tensor(0.3 * (2.0 * 0.7 - 0.5 * 0.9)))


@pytest.mark.parametrize("quantizer", WITH_ENTROPY_LOSS)
def test_the_typed_keywords_are_the_fields_of_the_options(quantizer):
    """Names and types are written twice, for the program and for editors; they may not differ."""
    *_, keywords = inspect.signature(quantizer).parameters.values()
    assert keywords.kind is inspect.Parameter.VAR_KEYWORD
    (typed,) = get_args(keywords.annotation)
    assert typed.__required_keys__ == frozenset()
    assert get_type_hints(typed) == {field.name: field.type for field in fields(quantizer.keywords)}


@pytest.mark.parametrize(
    ("quantizer", "defaults"),
    [
        (LFQ, BINARY_DEFAULTS),
        (GQ, BINARY_DEFAULTS),
        (BSQ, {**BINARY_DEFAULTS, "temperature": 1.0}),
        (IBQ, {**DEFAULTS, "entropy_weight": 0.05}),
    ],
)
def test_a_config_sees_flat_options_with_their_defaults_and_descriptions(quantizer, defaults):
    schema = options_model(quantizer).model_json_schema()
    own = set(inspect.signature(quantizer).parameters) - {"keywords"}
    assert set(schema["properties"]) == own | set(defaults)
    for name, default in defaults.items():
        assert schema["properties"][name]["default"] == default
        assert schema["description"].count(f"\n    {name}: ") == 1


@pytest.mark.parametrize("quantizer", WITH_ENTROPY_LOSS)
def test_an_unknown_keyword_is_named(quantizer):
    with pytest.raises(TypeError, match="unexpected keyword argument 'temp'"):
        quantizer(temp=1.0)


@pytest.mark.parametrize("options", [EntropyLoss, BinaryLoss])
def test_a_temperature_of_zero_is_refused(options):
    with pytest.raises(ValueError, match=r"temperature must be > 0, got 0\.0"):
        options(temperature=0.0)
