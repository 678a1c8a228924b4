"""Generative decoders: every answer can be had again, and noise is never drawn unasked."""

import pytest
import torch

from tiny import awaken, tiny_tokenizer, tiny_wetok
from vistok import VisualTokenizer
from vistok.eval.metrics.sample_std import sample_std
from vistok.tokenizers.noise_source import NoiseSource


@pytest.fixture(scope="module")
def tokenizer() -> VisualTokenizer:
    return tiny_wetok(generative=True)


def pixels(batch: int = 2, frames: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, frames, 8, 12, generator=generator) * 2 - 1


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def test_decoding_is_a_function_of_codes_unless_a_generator_is_given(tokenizer):
    e = tokenizer.encode(pixels())
    state = torch.get_rng_state()
    first = tokenizer.decode(e.codes, e.layout)
    assert torch.equal(first, tokenizer.decode(e.codes, e.layout))
    assert torch.equal(torch.get_rng_state(), state), "the global generator was left alone"
    drawn = tokenizer.decode(e.codes, e.layout, generator=seed(1))
    assert torch.equal(drawn, tokenizer.decode(e.codes, e.layout, generator=seed(1)))
    assert not torch.allclose(drawn, tokenizer.decode(e.codes, e.layout, generator=seed(2)))
    assert not torch.allclose(drawn, first)


def test_every_way_to_decode_takes_the_same_noise(tokenizer):
    e = tokenizer.encode(pixels())
    noise = torch.randn(e.code.shape, generator=seed(3))
    expected = tokenizer.decode(e.codes, noise=noise)
    assert torch.equal(tokenizer.decode(e.code, e.layout, noise=(noise,)), expected)
    assert torch.equal(tokenizer.decode_tokens(e.tokens, e.layout, noise=noise), expected)
    assert torch.equal(tokenizer.decode_images(e.code, noise=noise), expected[:, :, 0])
    assert torch.equal(tokenizer(pixels(), noise=noise).pixels, expected)
    reconstructed = tokenizer.reconstruct(pixels(), noise=noise)
    assert torch.equal(reconstructed, expected.clamp(-1, 1))
    (streamed,) = tokenizer.decode_stream([e.codes], noise=noise)
    assert torch.equal(streamed, expected)


def test_temperature_scales_the_noise_and_zero_leaves_it_out(tokenizer):
    code = tokenizer.encode(pixels()).code
    noise = torch.randn(code.shape, generator=seed(3))
    half = tokenizer.decode(code, noise=noise, temperature=0.5)
    assert torch.equal(half, tokenizer.decode(code, noise=0.5 * noise))
    nothing = tokenizer.decode(code, noise=torch.zeros_like(code))
    generator = seed(1)
    state = generator.get_state()
    assert torch.equal(tokenizer.decode(code, temperature=0, generator=generator), nothing)
    assert torch.equal(generator.get_state(), state)


def test_samples_of_a_clip_come_out_side_by_side(tokenizer):
    code = tokenizer.encode(pixels(2)).code
    samples = tokenizer.decode(code, num_samples=3, generator=[seed(1), seed(2)])
    assert samples.shape == (6, 3, 1, 8, 12)
    alone = tokenizer.decode(code[1:], num_samples=3, generator=[seed(2)])
    torch.testing.assert_close(samples[3:], alone, atol=1e-5, rtol=0)
    assert not torch.allclose(samples[0], samples[1], atol=1e-3)
    # without generators the draws of every clip are the same ones
    clips = tokenizer.decode(code[:1].repeat(2, 1, 1, 1, 1), num_samples=2)
    torch.testing.assert_close(clips[:2], clips[2:], atol=1e-5, rtol=0)
    assert not torch.allclose(clips[0], clips[1], atol=1e-3)


@pytest.mark.parametrize("own", [False, True], ids=["no generator", "a generator per clip"])
def test_a_clip_is_decoded_alike_in_every_batch(tokenizer, own):
    code = tokenizer.encode(pixels(3)).code
    together = tokenizer.decode(code, generator=[seed(i) for i in range(3)] if own else None)
    for index in range(3):
        alone = tokenizer.decode(code[index : index + 1], generator=[seed(index)] if own else None)
        torch.testing.assert_close(together[index : index + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("generators", [None, "one", "one per clip"])
def test_a_stream_meets_the_noise_of_the_whole_clip(tokenizer, generators):
    def options() -> dict:
        made = {"one": seed(5), "one per clip": [seed(6), seed(7)]}
        return {} if generators is None else {"generator": made[generators]}

    code = tokenizer.encode(pixels(2, frames=5)).code
    whole = tokenizer.decode(code, **options())
    pieces = tokenizer.decode_stream(code.split([1, 3, 1], dim=2), **options())
    torch.testing.assert_close(torch.cat(list(pieces), dim=2), whole, atol=1e-5, rtol=0)


def test_given_noise_is_cut_along_a_stream_and_must_be_used_up(tokenizer):
    code = tokenizer.encode(pixels(1, frames=3)).code
    noise = torch.randn(code.shape, generator=seed(3))
    whole = tokenizer.decode(code, noise=noise)
    pieces = tokenizer.decode_stream(code.split(1, dim=2), noise=noise)
    torch.testing.assert_close(torch.cat(list(pieces), dim=2), whole, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="as many latent frames as the codes, 2, got 3"):
        list(tokenizer.decode_stream(code[:, :, :2].split(1, dim=2), noise=noise))


def test_every_frame_of_a_clip_is_an_image_of_its_own(tokenizer):
    clip = pixels(1, frames=4)
    code = tokenizer.encode(clip).code
    decoded = tokenizer.decode(code, temperature=0)
    for index, frame in enumerate(clip.unbind(2)):
        alone = tokenizer.encode_images(frame).code
        torch.testing.assert_close(alone, code[:, :, [index]])
        expected = tokenizer.decode_images(alone, temperature=0)
        torch.testing.assert_close(decoded[:, :, index], expected, atol=1e-5, rtol=0)


def test_training_draws_anew_and_evaluation_does_not(tokenizer):
    training = tiny_wetok(generative=True).train()
    first, second = training(pixels()).pixels, training(pixels()).pixels
    assert not torch.allclose(first, second, atol=1e-3)
    drawn = training(pixels(), generator=seed(1)).pixels
    assert torch.equal(drawn, training(pixels(), generator=seed(1)).pixels)
    assert torch.equal(tokenizer(pixels()).pixels, tokenizer(pixels()).pixels)


def test_large_frames_are_tiled_with_their_noise(tokenizer):
    code = tokenizer.encode(pixels(1)).code
    whole = tokenizer.decode(code)
    assert torch.equal(tokenizer.decode(code, tile=12), whole), "one tile is the whole"
    assert tokenizer.decode(code, tile=4).shape == whole.shape


def test_half_precision_decodes_the_same_noise():
    source = NoiseSource(generator=seed(1)).next(torch.zeros(1, 2, 3, 4, 4))
    half = NoiseSource(generator=seed(1)).next(torch.zeros(1, 2, 3, 4, 4, dtype=torch.bfloat16))
    assert torch.equal(half, source.bfloat16())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": torch.zeros(1, 8, 1, 4, 6)}, r"shape of the codes, \(2, 8, 1, 4, 6\)"),
        ({"noise": torch.zeros(2, 8, 2, 4, 6)}, "as many latent frames as the codes, 1, got 2"),
        (
            {"noise": torch.zeros(2, 8, 1, 4, 6), "num_samples": 2},
            r"shape of the codes, repeated num_samples times, \(4, .*\), got \(2, ",
        ),
        ({"noise": torch.zeros(2, 8, 1, 4, 6), "generator": seed(0)}, "pass one of the two"),
        ({"generator": [seed(0)]}, "one for each of the 2 clips, got 1"),
        ({"temperature": -1.0}, r"temperature must be >= 0, got -1"),
        ({"num_samples": 0}, "num_samples must be >= 1, got 0"),
        ({"timestep": 0.1}, "takes no timestep"),
    ],
)
def test_impossible_requests_are_refused(tokenizer, options, message):
    with pytest.raises(ValueError, match=message):
        tokenizer.decode(torch.ones(2, 8, 1, 4, 6), **options)


def test_an_unknown_keyword_is_refused_with_the_closest_one(tokenizer):
    with pytest.raises(TypeError, match=r"unknown keyword 'num_sample'.*did you mean num_samples"):
        tokenizer.decode(torch.ones(1, 8, 1, 4, 6), num_sample=2)


@pytest.mark.parametrize("option", ["noise", "temperature", "num_samples"])
def test_a_decoder_without_noise_refuses_what_would_have_no_effect(option):
    plain = tiny_tokenizer()
    code = torch.zeros(1, 6, 1, 2, 2)
    value = {"noise": code, "temperature": 0.5, "num_samples": 2}[option]
    with pytest.raises(ValueError, match=f"{option} has no effect: this decoder is not generative"):
        plain.decode(code, **{option: value})
    expected = plain.decode(code)
    assert torch.equal(plain.decode(code, generator=seed(1)), expected), "harmless"


def test_the_spread_over_draws_is_that_of_the_answers(tokenizer):
    code = tokenizer.encode(pixels()).code
    samples = tokenizer.decode(code, num_samples=3).clamp(-1, 1).unflatten(0, (2, 3))
    by_hand = ((samples - samples.mean(1, keepdim=True)).square().sum(1) / 2).mean().sqrt()
    torch.testing.assert_close(sample_std(tokenizer, code, 3), by_hand)
    silent = tiny_wetok(generative=True)
    with torch.no_grad():
        silent.get_parameter("decoder.conv_in.weight")[:, 8:] = 0
    assert sample_std(silent, (code,)) < 1e-6
    with pytest.raises(ValueError, match="num_samples must be >= 2"):
        sample_std(tokenizer, code, 1)
    with pytest.raises(ValueError, match="has no effect: this decoder is not generative"):
        sample_std(awaken(tiny_tokenizer()), torch.zeros(1, 6, 1, 2, 2))  # pyright: ignore[reportArgumentType]


def test_a_generative_tokenizer_is_saved_and_described(tokenizer, tmp_path):
    from vistok.tokenizers.summary import summarize

    tokenizer.save_pretrained(tmp_path)
    again = VisualTokenizer.from_pretrained(tmp_path)
    assert torch.equal(again.reconstruct(pixels()), tokenizer.reconstruct(pixels()))
    assert summarize(tokenizer, (1, 8, 8)).decode_multiply_adds > 0
