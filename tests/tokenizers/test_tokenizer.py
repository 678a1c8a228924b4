"""VisualTokenizer: the outer contract in Python."""

import json
import logging

import diffusers
import pytest
import torch
from diffusers.models.modeling_utils import ModelMixin
from packaging.version import Version

from tiny import tiny_tokenizer
from vistok import Layout, VisualTokenizer

BOTTLENECKS = [
    {"kind": "fsq", "levels": [8, 5, 5]},
    {"kind": "kl", "latent_channels": 3},
    {"kind": "plain", "latent_channels": 3},
    {"kind": "gq", "bits_per_group": [3, 4]},
    {"kind": "vq", "codebook_size": 32, "codebook_dim": 4},
    {"kind": "multi_token", "quantizer": {"kind": "fsq", "levels": [8, 5]}, "dim": 6},
]


@pytest.fixture(params=BOTTLENECKS, ids=lambda b: b["kind"])
def tokenizer(request) -> VisualTokenizer:
    return tiny_tokenizer("video", request.param)


def pixels(*size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(*size, generator=generator) * 2 - 1


def test_an_encoding_has_the_documented_shapes(video_tokenizer):
    e = video_tokenizer.encode(pixels(2, 3, 5, 16, 24))
    assert e.latent.shape == e.code.shape == (2, 6, 2, 2, 3)
    assert e.index.shape == (2, 2, 2, 3, 1)
    assert e.tokens.shape == (2, 12)
    assert e.layout == Layout(grids=((2, 2, 3),), size=(5, 16, 24))
    assert e.posterior is None


def test_a_continuous_encoding_has_a_posterior_and_no_tokens(kl_tokenizer):
    e = kl_tokenizer.train().encode(pixels(1, 3, 1, 16, 16))
    assert e.indices is None
    assert torch.equal(e.code, e.latent)
    assert torch.equal(e.posterior.mean[0], e.latent)
    assert e.posterior.logvar[0].shape == e.latent.shape
    assert e.posterior.kl()[0].shape == (1,)
    with pytest.raises(ValueError, match="continuous"):
        _ = e.tokens
    with pytest.raises(ValueError, match="continuous"):
        _ = kl_tokenizer.codebook_size


def test_decoding_tokens_equals_decoding_codes(video_tokenizer):
    e = video_tokenizer.encode(pixels(2, 3, 5, 16, 24))
    from_tokens = video_tokenizer.decode_tokens(e.tokens, e.layout)
    assert torch.equal(from_tokens, video_tokenizer.decode(e.codes, e.layout)), "to the bit"


def test_padding_is_recorded_and_cropped_away(tokenizer):
    x = pixels(1, 3, 3, 13, 9)
    e = tokenizer.encode(x, pad="replicate")
    assert e.layout == Layout(grids=((2, 2, 2),), size=(3, 13, 9))
    assert tokenizer.decode(e.codes, e.layout).shape == x.shape
    assert tokenizer.reconstruct(x).shape == x.shape


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((1, 3, 1, 12, 16), r"H = 12 \(nearest legal: 8 or 16\)"),
        ((1, 3, 3, 8, 8), r"T = 3 \(nearest legal: 1 or 5\)"),
        ((1, 3, 1, 4, 8), r"H = 4 \(nearest legal: 8\)"),
        ((1, 3, 8, 8), "for images .* use encode_images"),
        ((1, 1, 1, 8, 8), r"pixels must be \(B, 3, T, H, W\)"),
    ],
)
def test_illegal_sizes_are_refused_with_the_nearest_legal_ones(video_tokenizer, size, message):
    with pytest.raises(ValueError, match=message):
        video_tokenizer.encode(pixels(*size))


def test_streaming_equals_one_shot(tokenizer):
    x = pixels(1, 3, 13, 16, 16)
    whole = tokenizer.encode(x)
    chunks = list(tokenizer.encode_stream(x.split([1, 4, 8], dim=2)))
    latents = torch.cat([e.latent for e in chunks], dim=2)
    torch.testing.assert_close(latents, whole.latent, atol=1e-5, rtol=0)
    decoded = torch.cat(list(tokenizer.decode_stream(e.codes for e in chunks)), dim=2)
    # codes of a chunk that rounds differently would differ by whole steps, so decode the same ones
    codes = torch.cat([e.code for e in chunks], dim=2)
    torch.testing.assert_close(decoded, tokenizer.decode(codes), atol=2e-5, rtol=0)


def test_chunks_of_illegal_length_are_refused(video_tokenizer):
    with pytest.raises(ValueError, match=r"this chunk must have 1 \+ n\*4 frames, got 3"):
        list(video_tokenizer.encode_stream([pixels(1, 3, 3, 8, 8)]))
    with pytest.raises(ValueError, match=r"this chunk must have n\*4 frames, got 5"):
        list(video_tokenizer.encode_stream([pixels(1, 3, 1, 8, 8), pixels(1, 3, 5, 8, 8)]))


def test_the_training_forward_is_differentiable_everywhere(tokenizer):
    out = tokenizer.train()(pixels(1, 3, 5, 16, 16))
    assert out.pixels.shape == (1, 3, 5, 16, 16)
    (out.pixels.square().mean() + out.loss).backward()
    without = [name for name, p in tokenizer.named_parameters() if p.grad is None]
    assert without == []


def test_kl_samples_in_training_and_takes_the_mode_otherwise(kl_tokenizer):
    x = pixels(1, 3, 1, 16, 16)
    a, b = kl_tokenizer.train()(x), kl_tokenizer(x)
    assert not torch.equal(a.pixels, b.pixels)
    assert a.terms["kl"] > 0
    a, b = kl_tokenizer.eval()(x), kl_tokenizer(x)
    assert torch.equal(a.pixels, b.pixels)


def test_images_go_without_the_time_axis(image_tokenizer):
    images = pixels(2, 3, 16, 16)
    e = image_tokenizer.encode_images(images)
    assert torch.equal(e.code, image_tokenizer.encode(images.unsqueeze(2)).code)
    assert image_tokenizer.decode_images(e.code).shape == images.shape


def test_rates_count_unpadded_pixels(video_tokenizer):
    layout = Layout((video_tokenizer.size_rule.grid((5, 10, 16)),), (5, 10, 16))
    bits = 2 * 2 * 2 * 15.965784284662087  # positions x log2(64000)
    assert video_tokenizer.bits_per_pixel(layout) == pytest.approx(bits / (5 * 10 * 16))
    assert video_tokenizer.vocab_size == video_tokenizer.codebook_size == 64_000


def test_tokens_of_the_wrong_length_or_range_are_refused(image_tokenizer):
    layout = image_tokenizer.layout((1, 16, 16))
    with pytest.raises(ValueError, match=r"tokens must be \(B, 4\)"):
        image_tokenizer.decode_tokens(torch.zeros(1, 5, dtype=torch.int64), layout)
    with pytest.raises(ValueError, match=r"indices must lie in \[0, 64000\)"):
        image_tokenizer.decode_tokens(torch.full((1, 4), 64_000), layout)


def test_a_discrete_tokenizer_has_no_continuous_path(image_tokenizer):
    with pytest.raises(ValueError, match="no continuous path"):
        image_tokenizer.decode_latents(torch.zeros(1, 6, 1, 2, 2))


def test_normalize_uses_the_statistics_of_the_config():
    base = tiny_tokenizer("image", {"kind": "kl", "latent_channels": 2})
    parts = (base.config["encoder_config"], base.config["bottleneck_config"])
    tokenizer = VisualTokenizer(
        *parts, base.config["decoder_config"], latents_mean=[1.0, 2.0], latents_std=[2.0, 4.0]
    )
    z = torch.tensor([3.0, 6.0]).view(1, 2, 1, 1, 1)
    assert torch.equal(tokenizer.normalize(z), torch.ones_like(z))
    assert torch.equal(tokenizer.unnormalize(tokenizer.normalize(z)), z)
    assert torch.equal(base.normalize(z), z)


def test_saving_and_loading_keeps_every_bit(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = VisualTokenizer.from_pretrained(tmp_path)
    x = pixels(1, 3, 5, 16, 16)
    assert torch.equal(loaded.encode(x).code, tokenizer.encode(x).code)
    assert not loaded.training
    assert not any(p.is_meta for p in [*loaded.parameters(), *loaded.buffers()])
    assert "legal sizes" in (tmp_path / "README.md").read_text()
    assert {"config.json", "diffusion_pytorch_model.safetensors"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_half_precision_loading_keeps_fsq_exact(saved_tokenizer):
    loaded = VisualTokenizer.from_pretrained(saved_tokenizer, torch_dtype=torch.bfloat16)
    assert loaded.dtype == torch.bfloat16
    e = loaded.encode(pixels(1, 3, 1, 16, 16).bfloat16())
    assert torch.equal(loaded.quantizer.indices_to_codes(e.index).bfloat16().movedim(-1, 1), e.code)


@pytest.fixture
def diffusers_log(caplog):
    """Records of diffusers' own loggers, which do not reach the root logger."""
    logger = logging.getLogger("diffusers")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_casting_warns_of_nothing(image_tokenizer, diffusers_log):
    # diffusers itself warns of an empty list (0.38 does not yet); when it no longer does,
    # `StrictModel.to` can go
    if Version(diffusers.__version__) >= Version("0.42"):
        ModelMixin.to(image_tokenizer, torch.bfloat16)
        assert "should be kept in float32: []" in diffusers_log.text
    diffusers_log.clear()
    casts = [
        (torch.float16, (torch.float16,), {}),
        (torch.bfloat16, (), {"dtype": torch.bfloat16, "device": "cpu"}),
        (torch.float32, ("cpu", torch.float32, True), {}),
        (torch.float64, (torch.zeros(1, dtype=torch.float64),), {}),
    ]
    for dtype, arguments, keywords in casts:
        assert image_tokenizer.to(*arguments, **keywords) is image_tokenizer
        assert image_tokenizer.dtype == dtype
    assert image_tokenizer.to("meta", torch.float32).device.type == "meta"
    assert not diffusers_log.records


def test_unknown_config_keys_are_refused(saved_tokenizer):
    path = saved_tokenizer / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "latent_mean": [0.0]}))
    with pytest.raises(ValueError, match="unknown key latent_mean; did you mean latents_mean"):
        VisualTokenizer.from_pretrained(saved_tokenizer)


@pytest.mark.parametrize("damage", ["missing", "unexpected", "expected shape"])
def test_weights_that_do_not_fit_are_refused(saved_tokenizer, damage):
    from safetensors.torch import load_file, save_file

    path = saved_tokenizer / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    name = "encoder.conv_in.weight"
    if damage == "missing":
        del weights[name]
    elif damage == "unexpected":
        weights["encoder.extra"] = torch.zeros(1)
    else:
        weights[name] = torch.zeros(1, 2, 3)
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"do not fit its config.json .*{damage}"):
        VisualTokenizer.from_pretrained(saved_tokenizer)


def test_another_class_and_an_empty_folder_are_refused(saved_tokenizer, tmp_path):
    with pytest.raises(FileNotFoundError, match="no tokenizer at"):
        VisualTokenizer.from_pretrained(tmp_path / "nothing")
    path = saved_tokenizer / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "_class_name": "AutoencoderKL"}))
    with pytest.raises(
        ValueError, match="holds the class AutoencoderKL, not VisualTokenizer; write "
    ):
        VisualTokenizer.from_pretrained(saved_tokenizer)


def test_halves_of_different_compression_are_refused():
    base = tiny_tokenizer("image")
    video = tiny_tokenizer("video")
    with pytest.raises(ValueError, match="same temporal_compression, got 1 and 4"):
        VisualTokenizer(
            base.config["encoder_config"], {"kind": "fsq"}, video.config["decoder_config"]
        )


def test_it_exports(image_tokenizer):
    x = pixels(1, 3, 1, 16, 16)
    exported = torch.export.export(image_tokenizer, (x,)).module()(x)
    torch.testing.assert_close(exported.pixels, image_tokenizer(x).pixels)


def test_the_diffusers_adapter_speaks_the_language_of_pipelines(kl_tokenizer):
    vae = kl_tokenizer.as_diffusers()
    images = pixels(2, 3, 16, 16)
    distribution = vae.encode(images).latent_dist
    assert distribution.mode().shape == (2, 4, 2, 2)
    generator = torch.Generator().manual_seed(0)
    assert distribution.sample(generator).shape == (2, 4, 2, 2)
    (decoded,) = vae.decode(distribution.mode(), return_dict=False)
    expected = kl_tokenizer.decode_images(kl_tokenizer.encode_images(images).code)
    assert torch.equal(decoded, expected)
    clip = vae.decode(vae.encode(pixels(1, 3, 2, 16, 16)).latent_dist.mean).sample
    assert clip.shape == (1, 3, 2, 16, 16)
    assert vae.config.scaling_factor is None
    with pytest.raises(ValueError, match="needs a continuous tokenizer"):
        tiny_tokenizer().as_diffusers()


def test_checkpointing_is_switched_on_as_in_diffusers(image_tokenizer):
    x = pixels(1, 3, 1, 16, 16)
    plain = torch.autograd.grad(
        image_tokenizer(x).pixels.sum(), image_tokenizer.encoder.conv_in.weight
    )
    image_tokenizer.enable_gradient_checkpointing()
    assert image_tokenizer.is_gradient_checkpointing
    saved = torch.autograd.grad(
        image_tokenizer(x).pixels.sum(), image_tokenizer.encoder.conv_in.weight
    )
    torch.testing.assert_close(plain, saved)
