"""Autoencoders of diffusers as tokenizers: every class that the installed version has."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models import autoencoders
from diffusers.models.modeling_utils import ModelMixin
from diffusers_models import TINY, build, pixels, save

from vistok import (
    FSQ,
    VisualTokenizer,
    decode_shards,
    encode_source,
    evaluate,
    reconstruct_file,
    save_image,
    save_video,
)
from vistok.models.diffusers_halves import DiffusersDecoder, DiffusersEncoder
from vistok.models.wrapped.catalog import REFUSED, SUPPORTED, find_class
from vistok.tokenizers.converters.wrapped import to_diffusers
from vistok.tokenizers.open import load_tokenizer, open_without_weights

DISCRETE = ("VQModel", "VQModel spatial", "AutoencoderVidTok fsq")
# Other options of classes that are in the table already, which differ in what the class computes.
VARIANTS = (
    "AutoencoderKL mean std",
    "AutoencoderKL no quant conv",
    "VQModel spatial",
    "AutoencoderKLCogVideoX invert",
    "AutoencoderKLLTXVideo noise",
    "AutoencoderVidTok noncausal",
)


def its_own_way(case: str, model: Any, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return latents (or codes) and pixels as the class itself makes them, by its public calls."""
    name = TINY[case].name
    frames = clips.shape[2]
    if name == "AutoencoderVidTok":
        front, step = model.temporal_compression_ratio - 1, model.is_causal
        padded = torch.cat([clips[:, :, :1]] * (front * step) + [clips], dim=2)
        encoded = model.encode(padded)
        latents = encoded[0] if isinstance(encoded, tuple) else encoded.latent_dist.mode()
        decoded = model.decode(latents) if model.is_causal else model.decoder(latents)
        return latents, decoded
    if name == "AutoencoderKLAllegro":
        model.enable_tiling()
        model.kernel, model.stride = (frames, 16, 16), (frames, 16, 16)
        model.enable_slicing()
        latents = model.encode(clips).latent_dist.mode()
        return latents, model.decode(latents).sample.transpose(1, 2)
    if name == "AutoencoderKLHunyuanVideo15":
        model.enable_slicing()
    if name == "Kandinsky6SRVAE":  # as its pipeline calls it
        latents = model.encode((clips + 1) * 127.5 / 128 - 1).latent_dist.mode()
        return latents, (model.decode(latents).sample + 1) * 128 / 127.5 - 1
    is_image = not SUPPORTED[name].takes_clips
    inputs = clips.transpose(1, 2).flatten(0, 1) if is_image else clips
    encoded = model.encode(inputs)
    latents = (
        encoded.latent_dist.mode()
        if hasattr(encoded, "latent_dist")
        else getattr(encoded, "latents", None)
    )
    latents = encoded.latent if latents is None else latents
    extra: dict[str, Any] = {}
    if name == "AutoencoderKLTemporalDecoder":
        extra["num_frames"] = frames
    if model.config.get("timestep_conditioning"):
        extra["temb"] = torch.full((len(clips),), 0.05)
    decoded = model.decode(latents, **extra).sample
    if is_image:
        latents, decoded = (
            x.unflatten(0, (len(clips), frames)).transpose(1, 2) for x in (latents, decoded)
        )
    return latents, decoded


@pytest.mark.parametrize("case", TINY)
def test_latents_and_pixels_are_those_of_the_class_itself(case: str) -> None:
    model, clips = build(case), pixels(case)
    tokenizer = VisualTokenizer.from_diffusers(build(case))
    with torch.no_grad():
        encoding = tokenizer.encode(clips)
        torch.manual_seed(1)
        decoded = tokenizer.decode(encoding)
        torch.manual_seed(1)
        latents, expected = its_own_way(case, model, clips)
    ours = encoding.code if case == "AutoencoderVidTok fsq" else encoding.latent
    torch.testing.assert_close(ours, latents, atol=3e-6, rtol=1e-5)
    torch.testing.assert_close(decoded, expected, atol=2e-5, rtol=1e-5)
    assert encoding.layout.grids == (tuple(latents.shape[2:]),)


@pytest.mark.parametrize("case", [case for case in TINY if case not in VARIANTS])
def test_a_class_is_a_full_citizen(case: str, tmp_path: Path) -> None:
    """Encode, store, decode, score, train a step, save, reload, write back."""
    name = save(case, tmp_path / "model")
    frames, side, _ = TINY[case].clip
    source = tmp_path / "source"
    for index, clip in enumerate(pixels(case)):
        if frames == 1:
            save_image(clip[None], source / f"{index}.png")
        else:
            save_video(clip[None], source / f"{index}.mp4", fps=8)
    what = "tokens" if case in DISCRETE else "latents"
    encode_source(source, name, tmp_path / "out", what=what, size=side, frames=frames)
    assert len(decode_shards(tmp_path / "out", name, tmp_path / "decoded")) == 2
    (row,) = evaluate(source, name, size=side, frames=frames, limit=1, metrics=("psnr",))
    assert 0 < row.metrics["psnr"] < 60

    tokenizer = load_tokenizer(name).train()
    output = tokenizer(pixels(case))
    (output.pixels.square().mean() + output.loss).backward()
    with torch.no_grad():
        for parameter in tokenizer.parameters():
            if parameter.grad is not None:
                parameter -= 1e-3 * parameter.grad
    tokenizer.eval().save_pretrained(tmp_path / "saved")
    loaded = load_tokenizer(tmp_path / "saved")
    with torch.no_grad():
        before, after = (t.encode(pixels(case)).latent for t in (tokenizer, loaded))
    assert torch.equal(before, after)

    to_diffusers(loaded).save_pretrained(tmp_path / "back")
    again = load_tokenizer(f"diffusers:{TINY[case].name}:{tmp_path / 'back'}")
    for key, tensor in again.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[key]), key
    assert again.latent_scale == loaded.latent_scale
    assert open_without_weights(name).size_rule == loaded.size_rule


# ---- the domain of latents -----------------------------------------------------------------------


def as_a_pipeline_feeds(case: str, model: Any, z: torch.Tensor) -> torch.Tensor:
    """Return what the class's own pipeline gives to its diffusion model, from its formulas."""
    name, config = TINY[case].name, model.config
    if name == "AutoencoderKLFlux2":
        b, c, _, h, w = z.shape
        z = z[:, :, 0].view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
        z = z.reshape(b, 4 * c, h // 2, w // 2)
        mean, variance = model.bn.running_mean, model.bn.running_var + config.batch_norm_eps
        return ((z - mean.view(1, -1, 1, 1)) / variance.sqrt().view(1, -1, 1, 1)).unsqueeze(2)
    if name in ("AutoencoderKLLTXVideo", "AutoencoderKLLTX2Video"):
        mean, std = (x.view(1, -1, 1, 1, 1) for x in (model.latents_mean, model.latents_std))
        return (z - mean) * config.scaling_factor / std
    if name == "AutoencoderKLCosmos":
        mean, std = (
            torch.tensor(x).view(1, config.latent_channels, -1, 1, 1)[:, :, : z.shape[2]]
            for x in (config.latents_mean, config.latents_std)
        )
        return (z - mean) / std
    mean, std = config.get("latents_mean"), config.get("latents_std")
    factor = config.get("scaling_factor")
    factor = 1.0 if factor is None else factor
    if mean is not None:
        mean, std = (torch.tensor(x).view(1, -1, 1, 1, 1) for x in (mean, std))
        return (z - mean) * factor / std
    return (z - (config.get("shift_factor") or 0.0)) * factor


@pytest.mark.parametrize("case", TINY)
def test_latents_are_normalized_as_the_pipelines_of_the_class_do(case: str) -> None:
    model = build(case)
    tokenizer = VisualTokenizer.from_diffusers(model)
    channels = tokenizer.bottleneck.code_dim
    z = torch.randn(2, channels, *tokenizer.size_rule.grid((1, 64, 64)))
    normalized = tokenizer.normalize(z)
    torch.testing.assert_close(normalized, as_a_pipeline_feeds(case, model, z))
    torch.testing.assert_close(tokenizer.unnormalize(normalized), z, atol=2e-6, rtol=1e-5)


def test_more_latent_frames_than_statistics_are_refused() -> None:
    tokenizer = VisualTokenizer.from_diffusers(build("AutoencoderKLCosmos"))
    with pytest.raises(ValueError, match="hold for 4 latent frames, got 5"):
        tokenizer.normalize(torch.randn(1, 4, 5, 4, 4))
    flux = VisualTokenizer.from_diffusers(build("AutoencoderKLFlux2"))
    with pytest.raises(ValueError, match="multiples of 2, got 3 x 4"):
        flux.normalize(torch.randn(1, 4, 1, 3, 4))
    assert flux.normalize(torch.randn(2, 4, 6, 8)).shape == (2, 16, 3, 4)  # images, without time


def test_stored_latents_are_unscaled_and_the_manifest_says_how_to_scale_them(
    tmp_path: Path,
) -> None:
    import numpy as np
    import pyarrow.parquet as pq

    from vistok import load_image
    from vistok.data.sources.bundled import SAMPLES

    name = save("AutoencoderKL", tmp_path / "model")
    photo = SAMPLES / "images" / "kodim15.jpg"
    encode_source(photo, name, tmp_path / "out", what="latents", size=64)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["latent_scale"]["scaling_factor"] == 0.5
    assert manifest["latent_scale"]["shift_factor"] == 0.1
    (row,) = pq.read_table(tmp_path / "out" / "shard-00000.parquet").to_pylist()
    stored = np.frombuffer(row["mean"], np.float16).reshape(4, 1, 16, 16)
    decode_shards(tmp_path / "out", name, tmp_path / "decoded")
    assert load_image(tmp_path / "decoded" / "kodim15.png").shape == (1, 3, 1, 64, 64)
    values = stored.astype(np.float64).reshape(4, -1)
    np.testing.assert_allclose(manifest["latents"]["mean"], values.mean(1), rtol=1e-12)
    np.testing.assert_allclose(manifest["latents"]["std"], values.std(1), rtol=1e-9)
    assert manifest["latents"]["count"] == 256


# ---- lengths, streams, refusals ------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in TINY if SUPPORTED[TINY[case].name].takes_clips])
def test_every_legal_length_is_restored_whole(case: str) -> None:
    tokenizer = VisualTokenizer.from_diffusers(build(case))
    rule, side = tokenizer.size_rule, 2 * tokenizer.spatial_compression
    for frames in sorted({rule.padded((T, 8, 8))[0] for T in range(1, 18)}):
        encoding = tokenizer.encode(torch.rand(1, 3, frames, side, side))
        assert encoding.layout.grids == (rule.grid((frames, side, side)),)
        assert tokenizer.decode(encoding.codes).shape == (1, 3, frames, side, side)


def test_image_autoencoders_stream_frame_by_frame() -> None:
    tokenizer = VisualTokenizer.from_diffusers(build("AutoencoderKL"))
    clip = torch.rand(1, 3, 7, 32, 32)
    whole = tokenizer.encode(clip)
    parts = [*tokenizer.encode_stream(clip.split(3, dim=2))]
    torch.testing.assert_close(torch.cat([p.latent for p in parts], dim=2), whole.latent)
    frames = torch.cat([*tokenizer.decode_stream(parts)], dim=2)
    torch.testing.assert_close(frames, tokenizer.decode(whole), atol=1e-5, rtol=1e-5)


def test_every_class_is_either_supported_or_refused_for_a_reason() -> None:
    for name, cls in vars(autoencoders).items():
        if not (isinstance(cls, type) and issubclass(cls, ModelMixin)):
            continue
        if name not in SUPPORTED:
            with pytest.raises(ValueError, match=f"^{name} cannot be a tokenizer: .{{20}}"):
                find_class(name)
    assert {case.name for case in TINY.values()} == SUPPORTED.keys() & vars(autoencoders).keys()
    assert not SUPPORTED.keys() & REFUSED.keys()


def test_a_class_that_is_newer_than_the_installed_diffusers_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(autoencoders, "AutoencoderKLKVAE", raising=False)
    half = {"kind": "diffusers", "class": "AutoencoderKLKVAE", "config": {}}
    with pytest.raises(
        ValueError, match=r"diffusers \d.* has no AutoencoderKLKVAE; install a newer"
    ):
        VisualTokenizer(half, {"kind": "fsq"}, half)


def test_wrong_words_and_wrong_files_are_refused(tmp_path: Path) -> None:
    name = save("AutoencoderKL", tmp_path / "kl")
    with pytest.raises(ValueError, match="did you mean AutoencoderKL"):
        load_tokenizer("diffusers:AutoencoderLK:x")
    with pytest.raises(ValueError, match="written diffusers:<Class>:<path or hub id>"):
        load_tokenizer("diffusers:AutoencoderKL")
    with pytest.raises(ValueError, match="holds the class AutoencoderKL, not VQModel; write"):
        load_tokenizer(f"diffusers:VQModel:{tmp_path / 'kl'}")
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        load_tokenizer(f"diffusers:VQModel:{tmp_path / 'nothing'}")
    with pytest.raises(ValueError, match="RAE cannot be a tokenizer: it encodes by"):
        load_tokenizer("diffusers:AutoencoderRAE:someone/model")
    config = tmp_path / "kl" / "config.json"
    stored = json.loads(config.read_text())
    config.write_text(json.dumps({**stored, "layers_per_block": 2}))
    with pytest.raises(ValueError, match=r"do not fit its config\.json"):
        load_tokenizer(name)
    config.write_text(json.dumps({**stored, "in_channels": 4}))
    with pytest.raises(ValueError, match="codes pixels of 4 channels; vistok codes RGB"):
        load_tokenizer(name)
    config.write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
        load_tokenizer(name)


def test_a_compression_that_the_class_cannot_do_is_refused() -> None:
    options = {**TINY["AutoencoderKLWan"].options, "temperal_downsample": [True] * 3}
    half = {"kind": "diffusers", "class": "AutoencoderKLWan", "config": options}
    with pytest.raises(ValueError, match=r"must be at most 4, got 8"):
        VisualTokenizer(half, {"kind": "kl", "latent_channels": 4}, half)


def test_names_that_look_like_paths_are_paths(tmp_path: Path, monkeypatch: Any) -> None:
    name = save("AutoencoderTiny", tmp_path / "a" / "b")
    monkeypatch.chdir(tmp_path)
    assert load_tokenizer("diffusers:AutoencoderTiny:./a/b").spatial_compression == 4
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        load_tokenizer("diffusers:AutoencoderTiny:./a/c")
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        load_tokenizer(f"{name}/config.json")
    with pytest.raises(ValueError, match=r"write diffusers:AutoencoderTiny:"):
        load_tokenizer(tmp_path / "a" / "b")
    next((tmp_path / "a" / "b").glob("*.safetensors")).unlink()
    with pytest.raises(FileNotFoundError, match="no weights beside it"):
        load_tokenizer(name)


@pytest.mark.parametrize(
    ("case", "wrong"),
    [
        ("AutoencoderKL", {"latent_channels": "4"}),
        ("AutoencoderKL", {"block_out_channels": None}),
        ("AutoencoderKLWan", {"dim_mult": None}),
        ("AutoencoderKLCosmos", {"latents_mean": [0.0] * 15}),
        ("AutoencoderKL", {"down_block_types": ["Foo"] * 3}),
    ],
)
def test_configs_of_the_wrong_types_are_named(case: str, wrong: Any, tmp_path: Path) -> None:
    name = save(case, tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | wrong))
    with pytest.raises(ValueError, match=f"(?s)diffusers:{TINY[case].name}:.*"):
        load_tokenizer(name)


def test_clips_of_classes_that_are_not_causal_are_reconstructed(tmp_path: Path) -> None:
    tokenizer = VisualTokenizer.from_diffusers(build("AutoencoderVidTok noncausal"))
    clip = torch.rand(1, 3, 7, 16, 16)
    save_video(clip, tmp_path / "clip.mp4", fps=8)
    restored = reconstruct_file(tmp_path / "clip.mp4", tokenizer, tmp_path / "out")
    assert restored.frames == 7
    (part,) = tokenizer.encode_stream([clip[:, :, :4]])
    assert torch.equal(part.latent, tokenizer.encode(clip[:, :, :4]).latent)
    broken = VisualTokenizer.from_diffusers(build("AutoencoderKL"))
    next(broken.decoder.parameters()).data.fill_(float("nan"))
    save_image(clip[:, :, :1], tmp_path / "image.png")
    with pytest.raises(FloatingPointError, match="decodes to NaN or infinity"):
        reconstruct_file(tmp_path / "image.png", broken, tmp_path / "out")


def test_a_damaged_weights_file_is_named(tmp_path: Path) -> None:
    name = save("AutoencoderTiny", tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"do not fit its config\.json"):
        load_tokenizer(name)


def test_a_vae_inside_a_pipeline_folder_is_found(tmp_path: Path) -> None:
    save("AutoencoderTiny", tmp_path / "vae")
    assert load_tokenizer(f"diffusers:AutoencoderTiny:{tmp_path}").spatial_compression == 4


def test_discrete_models_have_the_rate_of_their_codebook(tmp_path: Path) -> None:
    for case, bits in (("VQModel", 5 / 16), ("AutoencoderVidTok fsq", 9 / 64)):
        name = save(case, tmp_path / case)
        (row,) = evaluate("samples:heldout", name, size=32, metrics=("psnr", "codebook_usage"))
        assert row.bits_per_pixel == bits
        assert row.values_per_pixel is None
        assert 0 < (row.metrics["codebook_usage"] or 0) <= 1


def test_tokens_are_those_of_the_class_itself() -> None:
    model: Any = build("VQModel")
    images = pixels("VQModel")[:, :, 0]
    with torch.no_grad():
        _, _, (_, _, indices) = model.quantize(model.encode(images).latents)
        tokens = VisualTokenizer.from_diffusers(model).encode_images(images).tokens
    assert torch.equal(tokens.flatten(), indices)
    vidtok: Any = build("AutoencoderVidTok fsq")
    clips = pixels("AutoencoderVidTok fsq")
    with torch.no_grad():
        padded = torch.cat([clips[:, :, :1]] * 3 + [clips], dim=2)
        _, indices = vidtok.encode(padded)
        encoding = VisualTokenizer.from_diffusers(vidtok).encode(clips)
    assert torch.equal(encoding.index[..., 0], indices.long())


def test_halves_are_modules_that_others_can_be_put_between(tmp_path: Path) -> None:
    options = TINY["AutoencoderKL"].options
    tokenizer = VisualTokenizer.from_modules(
        DiffusersEncoder(3, "AutoencoderKL", options),
        FSQ((8, 5, 5)),
        DiffusersDecoder(3, "AutoencoderKL", options),
    ).eval()
    tokenizer.save_pretrained(tmp_path)
    images = torch.rand(1, 3, 32, 32)
    loaded = load_tokenizer(tmp_path)
    assert torch.equal(loaded.encode_images(images).tokens, tokenizer.encode_images(images).tokens)


def test_what_has_no_place_in_the_class_is_not_written_back() -> None:
    network = {"kind": "causal", "stages": [{"width": 8, "blocks": 1}]}
    with pytest.raises(ValueError, match="the encoder is a CausalEncoder, the decoder a Causal"):
        to_diffusers(VisualTokenizer(network, {"kind": "fsq"}, network))
    options = {"kind": "diffusers", "class": "VQModel", "config": TINY["VQModel"].options}
    discrete = VisualTokenizer(options, {"kind": "fsq"}, {"kind": "diffusers"})
    with pytest.raises(ValueError, match=r"VQModel needs quantize\.embedding\.weight, which a FSQ"):
        to_diffusers(discrete)
