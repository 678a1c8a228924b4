"""Starting from other weights: nothing is dropped or left out in silence."""

import pytest
import torch

from tiny import tiny_tokenizer, tiny_wetok
from vistok import Stage, VisualTokenizer
from vistok.models.causal_autoencoder import CausalDecoder, CausalEncoder
from vistok.models.published.wan import wan_options
from vistok.tokenizers.adaptation.adapt import adapt_state, match_stages


def pixels(batch: int = 1, side: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, 1, side, side, generator=generator) * 2 - 1


def test_strict_takes_every_tensor_and_touches_neither_model():
    source, target = tiny_wetok(seed=0), tiny_wetok(seed=1)
    first_layers = [model.get_parameter("encoder.conv_in.weight") for model in (source, target)]
    before = first_layers[1].clone()
    result = adapt_state(source, target)
    assert set(result.loaded) == set(result.state) == set(target.state_dict())
    assert torch.equal(first_layers[1], before)
    target.load_state_dict(result.state)
    assert torch.equal(target.reconstruct(pixels()), source.reconstruct(pixels()))
    with torch.no_grad():
        first_layers[1].zero_()
    assert first_layers[0].any(), "no memory is shared"


@pytest.mark.parametrize("noise", ["zero", "one", "large"])
def test_a_widened_generative_decoder_answers_as_its_first_stage_whatever_the_noise(noise):
    source, target = tiny_wetok(seed=0), tiny_wetok(generative=True, seed=1)
    result = adapt_state(source, target, "widen")
    assert result.widened == ("decoder.conv_in.weight",)
    assert result.new + result.mismatched + result.unused == ()
    target.load_state_dict(result.state)
    codes = source.encode(pixels(2)).code
    assert torch.equal(target.encode(pixels(2)).code, codes)
    drawn = torch.randn(codes.shape, generator=torch.Generator().manual_seed(1))
    noise = {"zero": 0 * drawn, "one": drawn, "large": 1e3 * drawn}[noise]
    # Not bit for bit: a convolution of more channels may add in another order.
    torch.testing.assert_close(
        target.decode(codes, noise=noise), source.decode(codes), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("how", ["strict", "widen"])
def test_what_has_no_place_is_an_error(how):
    with pytest.raises(ValueError, match=rf"do not fit under adapt: {how} .*new .*choose"):
        adapt_state(tiny_wetok((1, 1)), tiny_wetok((1, 1, 1)), how)
    with pytest.raises(ValueError, match="unused"):
        adapt_state(tiny_wetok((1, 1, 1)), tiny_wetok((1, 1)), how)
    with pytest.raises(ValueError, match="of another shape"):
        adapt_state(tiny_wetok((1, 2)), tiny_wetok((1, 1)), how)


def test_strict_does_not_widen_and_widen_does_not_narrow():
    plain, generative = tiny_wetok(), tiny_wetok(generative=True)
    with pytest.raises(ValueError, match=r"1 of another shape \(decoder.conv_in.weight\)"):
        adapt_state(plain, generative, "strict")
    with pytest.raises(ValueError, match=r"1 of another shape \(decoder.conv_in.weight\)"):
        adapt_state(generative, plain, "widen")


def test_an_unknown_rule_is_refused_with_the_closest_one():
    with pytest.raises(ValueError, match="got 'wide'; did you mean widen"):
        adapt_state(tiny_wetok(), tiny_wetok(), "wide")


def wan(multipliers: tuple[int, ...], temporal: tuple[bool, ...]) -> VisualTokenizer:
    encoder, decoder = wan_options(8, multipliers, temporal, blocks=1)
    return VisualTokenizer(
        {"kind": "causal", **encoder},
        {"kind": "kl", "latent_channels": 4},
        {"kind": "causal", **decoder},
    )


def causal(tokenizer: VisualTokenizer) -> tuple[CausalEncoder, CausalDecoder]:
    assert isinstance(tokenizer.encoder, CausalEncoder)
    assert isinstance(tokenizer.decoder, CausalDecoder)
    return tokenizer.encoder, tokenizer.decoder


def test_aligned_levels_meet_at_their_resolution():
    source = wan((1, 2, 4), (False, True))
    target = wan((1, 2, 4, 4), (False, True, False))
    (encoder, decoder), (target_encoder, target_decoder) = causal(source), causal(target)
    # stem, three levels and the middle; the fourth level is new
    assert match_stages(encoder, target_encoder) == {0: 0, 1: 1, 2: 2, 3: 3, 5: 4}
    # middle, (new level), three levels counted from the pixels
    assert match_stages(decoder, target_decoder) == {4: 3, 3: 2, 2: 1, 0: 0}
    result = adapt_state(source, target, "align")
    target.load_state_dict(result.state)
    theirs, ours = source.state_dict(), target.state_dict()
    assert torch.equal(
        ours["decoder.stages.4.blocks.0.conv1.weight"],
        theirs["decoder.stages.3.blocks.0.conv1.weight"],
    )
    assert torch.equal(ours["decoder.conv_out.weight"], theirs["decoder.conv_out.weight"])
    assert torch.equal(
        ours["encoder.stages.5.blocks.1.conv2.weight"],
        theirs["encoder.stages.4.blocks.1.conv2.weight"],
    )
    assert {name.split(".")[2] for name in result.new if name.startswith("encoder")} == {"3", "4"}
    # the level behind the new one is reached at another width: its first block takes a shortcut
    widened = [name for name in result.new if name.startswith("decoder.stages.2.")]
    assert all("blocks.0.shortcut" in name for name in widened)
    assert set(result.mismatched) == {
        "decoder.stages.2.blocks.0.norm1.weight",
        "decoder.stages.2.blocks.0.conv1.weight",
    }
    assert result.unused == ()
    assert str(result).startswith(f"{len(result.loaded)} loaded; {len(result.new)} new (")


def test_patches_count_towards_the_resolution():
    whole = [Stage(8, 1, resample="strided"), Stage(8, 1, resample="strided"), Stage(8, 1)]
    patched = [Stage(8, 1, resample="strided"), Stage(8, 1)]
    target = CausalEncoder(whole, 4)
    assert match_stages(CausalEncoder(patched, 4, patch_size=2), target) == {1: 0, 2: 1}
    up = [Stage(8, 1, resample="nearest"), Stage(8, 1)]
    decoder = CausalDecoder([Stage(8, 1, resample="nearest"), *up], 4)
    assert match_stages(CausalDecoder(up, 4, patch_size=2), decoder) == {1: 1, 0: 0}


def test_alignment_reports_other_shapes_and_refuses_strangers():
    source, target = wan((1, 2), (True,)), wan((1, 4), (True,))
    result = adapt_state(source, target, "align")
    assert "encoder.stages.2.blocks.0.conv1.weight" in result.mismatched
    assert "encoder.conv_in.weight" in result.loaded
    own = target.state_dict()
    assert all(torch.equal(result.state[name], own[name]) for name in result.mismatched)
    with pytest.raises(ValueError, match="align found no tensor to start from"):
        adapt_state(tiny_tokenizer(), tiny_wetok(), "align")
