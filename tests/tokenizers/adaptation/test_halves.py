"""adapt: halves. Encoder and decoder are carried over, what stands between them is new."""

from typing import Any

import pytest
import torch
from diffusers_models import TINY, build

from vistok import VisualTokenizer
from vistok.tokenizers.adaptation.adapt import adapt_state

NETWORK = {"kind": "causal", "patch_size": 4, "stages": [{"width": 8, "blocks": 1}]}


def with_bottleneck(**bottleneck: Any) -> VisualTokenizer:
    torch.manual_seed(0)
    return VisualTokenizer(NETWORK, bottleneck, NETWORK)


def test_another_bottleneck_of_the_same_width_keeps_both_halves() -> None:
    source = with_bottleneck(kind="plain", latent_channels=4)
    target = with_bottleneck(kind="vq", codebook_size=16, codebook_dim=4)
    with pytest.raises(ValueError, match=r"halves \(another bottleneck\)"):
        adapt_state(source, target, "strict")
    result = adapt_state(source, target, "halves")
    assert result.new == ("bottleneck.codebook",)
    for name, tensor in source.state_dict().items():
        assert torch.equal(result.state[name], tensor)


def test_other_networks_are_refused() -> None:
    source = with_bottleneck(kind="plain", latent_channels=4)
    target = with_bottleneck(kind="plain", latent_channels=5)
    with pytest.raises(ValueError, match="do not fit under adapt: halves"):
        adapt_state(source, target, "halves")


def test_a_half_of_another_kind_is_left_out() -> None:
    options = {"kind": "diffusers", "class": "AutoencoderTiny"}
    options |= {"config": TINY["AutoencoderTiny"].options}
    decoder = {**NETWORK, "patch_size": 4}
    target = VisualTokenizer(options, {"kind": "plain", "latent_channels": 4}, decoder)
    source = VisualTokenizer.from_diffusers(build("AutoencoderTiny"))
    result = adapt_state(source, target, "halves")
    assert all(name.startswith("decoder.") for name in (*result.new, *result.unused))
    assert all(name.startswith("encoder.model.") for name in result.loaded)


def test_a_codebook_of_the_same_size_is_carried_over() -> None:
    source = VisualTokenizer.from_diffusers(build("VQModel"))
    options = {"kind": "diffusers", "class": "VQModel", "config": TINY["VQModel"].options}
    bottleneck = {"kind": "vq", "codebook_size": 32, "codebook_dim": 3}
    target = VisualTokenizer(options, bottleneck, {"kind": "diffusers"})
    assert "bottleneck.codebook" in adapt_state(source, target, "halves").loaded
    other = VisualTokenizer(options, {**bottleneck, "codebook_size": 8}, {"kind": "diffusers"})
    assert adapt_state(source, other, "halves").new == ("bottleneck.codebook",)
