"""discretize_flux and finetune_decoder: the shipped configs, onto an autoencoder small enough."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers_models import build, save

from commands import vistok
from vistok import VisualTokenizer, train_tokenizer
from vistok.config import SHIPPED
from vistok.models.diffusers_halves import DiffusersDecoder, DiffusersEncoder
from vistok.train.config.files import load_run_config

FLUX_PARAMETERS = 83_819_683
SMALL = (
    "data.source=samples:train",
    "data.size=32",
    "data.workers=0",
    "train.steps=2",
    "train.batch_size=2",
    "train.mixed_precision=no",
    "train.warmup_steps=0",
    "train.sample_every_steps=0",
    "train.ema_decay=0.5",
    "train.trackers=[]",
    "train.losses.perceptual_weight=0",  # LPIPS needs weights to be fetched
    "eval.every_steps=0",
    "model.encoder.config=null",
)
GAME = (
    "train.adversarial.start_step=1",
    "train.adversarial.warmup_steps=0",
    "train.adversarial.discriminator={kind: patchgan, base_channels: 8, num_layers: 1}",
)
WITHOUT_GAME = ("train.losses.adversarial_weight=0",)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> str:
    return save("AutoencoderKL", tmp_path_factory.mktemp("vae"))


def train(config: str, source: str, output: Path, *overrides: str) -> VisualTokenizer:
    """Train a shipped config for two steps from a tiny autoencoder, and load the result."""
    settings = [*SMALL, f"start.source={source}", *overrides]
    result = train_tokenizer(config, output, overrides=settings, device="cpu")
    assert result.step == 2
    return VisualTokenizer.from_pretrained(result.tokenizer).eval()


def halves(tokenizer: VisualTokenizer) -> tuple[DiffusersEncoder, DiffusersDecoder]:
    encoder, decoder = tokenizer.encoder, tokenizer.decoder
    assert isinstance(encoder, DiffusersEncoder)
    assert isinstance(decoder, DiffusersDecoder)
    return encoder, decoder


def changed(half: DiffusersEncoder | DiffusersDecoder) -> set[bool]:
    """Whether weights differ from those that the run started from, of those that it has."""
    before = build("AutoencoderKL").state_dict()
    return {not torch.equal(w, before[name]) for name, w in half.model.state_dict().items()}


def options(model: AutoencoderKL) -> dict:
    return {key: value for key, value in model.config.items() if key[0] != "_"}


def pictures() -> torch.Tensor:
    return torch.rand(2, 3, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


# ---- discretize_flux -----------------------------------------------------------------------------


def test_the_prior_of_discretize_flux_is_the_autoencoder_of_flux():
    config = load_run_config("discretize_flux", ["data.source=anywhere"])
    with torch.device("meta"):
        tokenizer = config.build_tokenizer()
        encoder, decoder = halves(tokenizer)
        original: Any = AutoencoderKL.from_config(encoder.class_config)
    names = [set(half.model.state_dict()) for half in (encoder, decoder)]
    assert set.union(*names) == set(original.state_dict())
    sizes = [sum(w.numel() for w in m.parameters()) for m in (encoder.model, decoder.model)]
    assert sum(sizes) == sum(w.numel() for w in original.parameters()) == FLUX_PARAMETERS
    scale = encoder.wrapped.latent_scale(encoder.class_config, encoder.model)
    assert (scale.scaling_factor, scale.shift_factor) == (0.3611, 0.1159)
    assert (tokenizer.spatial_compression, tokenizer.quantizer.group_sizes) == (8, (64_000,) * 2)
    assert config.train.freeze == ["encoder.model"]


COMMENTED = {
    "multi_token": ("", (64_000, 64_000), 12),
    "fsq": ("model.bottleneck={kind: fsq, levels: [8, 8, 8, 5, 5, 5]}", (64_000,), 6),
    "gq": ("model.bottleneck={kind: gq, num_groups: 4, bits_per_group: 8}", (256,) * 4, 32),
}


@pytest.mark.parametrize("kind", COMMENTED)
def test_any_quantizer_is_trained_between_frozen_encoder_and_decoder(kind, source, tmp_path):
    override, group_sizes, channels = COMMENTED[kind]
    assert override in (SHIPPED / "discretize_flux.yaml").read_text(encoding="utf-8")
    game = GAME if kind == "multi_token" else WITHOUT_GAME
    overrides = [*filter(None, [override]), *game]
    tokenizer = train("discretize_flux", source, tmp_path / "run", *overrides)
    encoder, decoder = halves(tokenizer)
    assert tokenizer.quantizer.group_sizes == group_sizes
    assert changed(encoder) == {False}
    assert True in changed(decoder)
    assert encoder.linear is not None
    assert tuple(encoder.linear.weight.shape) == (channels, 4)
    assert not torch.equal(encoder.linear.weight, torch.eye(channels, 4)), "it is trained"
    encoding = tokenizer.encode(pictures())
    assert encoding.tokens.shape == (2, 64 * len(group_sizes))
    decoded = tokenizer.decode_tokens(encoding.tokens, encoding.layout)
    torch.testing.assert_close(decoded, tokenizer.decode(encoding))


def test_the_prior_is_trained_too_where_nothing_is_frozen(source, tmp_path):
    tokenizer = train("discretize_flux", source, tmp_path / "run", "train.freeze=[]", *WITHOUT_GAME)
    assert [True in changed(half) for half in halves(tokenizer)] == [True, True]


# ---- finetune_decoder ----------------------------------------------------------------------------


@pytest.mark.parametrize("game", [GAME, WITHOUT_GAME], ids=["gan", "no gan"])
def test_a_fine_tuned_decoder_leaves_latents_alone_and_goes_back_to_diffusers(
    game, source, tmp_path
):
    tokenizer = train("finetune_decoder", source, tmp_path / "run", *game)
    before = VisualTokenizer.from_diffusers(build("AutoencoderKL"))
    ours, theirs = tokenizer.encode(pictures()), before.encode(pictures())
    assert torch.equal(ours.latent, theirs.latent)
    logvars = [e.posterior.grids[0].logvar for e in (ours, theirs) if e.posterior is not None]
    assert len(logvars) == 2
    torch.testing.assert_close(*logvars, rtol=0, atol=0)
    assert not torch.equal(tokenizer.decode(ours), before.decode(theirs))
    assert tokenizer.latent_scale == before.latent_scale

    folder = tmp_path / "vae"
    trained = tmp_path / "run" / "tokenizer"
    printed = vistok("convert", "diffusers", trained, "--output", folder, "--reverse")
    assert "left out" not in printed.stderr
    model: Any = AutoencoderKL.from_pretrained(folder)
    original = build("AutoencoderKL")
    assert options(model) == options(original)
    state = original.state_dict()
    same = {name: torch.equal(w, state[name]) for name, w in model.state_dict().items()}
    assert all(is_same for name, is_same in same.items() if name.startswith(("encoder", "quant")))
    assert not all(is_same for name, is_same in same.items() if name.startswith("decoder"))
    torch.testing.assert_close(
        model.decode(theirs.latent[:, :, 0]).sample, tokenizer.decode(ours)[:, :, 0]
    )


def test_an_autoencoder_with_other_latents_is_refused(source):
    settings = [*SMALL, f"start.source={source}", "model.bottleneck.latent_channels=8"]
    with pytest.raises(ValueError, match=r"linear=false needs a bottleneck that takes the 4 lat"):
        load_run_config("finetune_decoder", settings)


def test_the_config_in_the_file_has_to_be_that_of_the_source(source):
    settings = [*SMALL[:-1], f"start.source={source}"]
    with pytest.raises(ValueError, match=r"model.encoder.config to take the source's"):
        load_run_config("finetune_decoder", settings)


@pytest.mark.parametrize(
    ("config", "case", "override"),
    [
        ("finetune_decoder", "AutoencoderDC", "model.bottleneck={kind: plain, latent_channels: 4}"),
        ("finetune_decoder", "AutoencoderKLWan", "model.bottleneck.latent_channels=4"),
        ("discretize_flux", "AutoencoderTiny", "model.encoder.class=null"),
    ],
)
def test_other_classes_take_the_place_of_the_one_in_the_file(config, case, override, tmp_path):
    settings = [*SMALL, f"start.source={save(case, tmp_path)}", override]
    encoder, decoder = halves(load_run_config(config, settings).build_tokenizer())
    assert (encoder.label, decoder.label) == (case, case)
    assert (encoder.linear is None) == (config == "finetune_decoder")


# ---- wrong domains -------------------------------------------------------------------------------


def test_a_source_whose_latents_are_normalized_otherwise_is_refused(tmp_path):
    saved = VisualTokenizer.from_diffusers(build("AutoencoderKL"))
    saved.save_pretrained(tmp_path / "saved")
    options = {**halves(saved)[0].class_config, "scaling_factor": 0.25}
    settings = [
        *SMALL[:-1],
        *WITHOUT_GAME,
        f"start.source={tmp_path / 'saved'}",
        "start.adapt=halves",
        f"model.encoder.config={json.dumps(options)}",
    ]
    message = r"scaling_factor is 0\.25.*, but 0\.5 in start\.source"
    with pytest.raises(ValueError, match=message):
        train_tokenizer("discretize_flux", tmp_path / "run", overrides=settings, device="cpu")


@pytest.mark.parametrize("linear", ["true", "null"])
def test_a_quantizer_never_takes_a_log_variance_for_latents(linear, source):
    """Eight channels are the moments of this class's four latents: mean and log-variance."""
    settings = [
        *SMALL,
        f"start.source={source}",
        "model.bottleneck={kind: gq, num_groups: 1, bits_per_group: 8}",
        f"model.encoder.linear={linear}",
        f"model.decoder.linear={linear}",
    ]
    if linear == "true":
        load_run_config("discretize_flux", settings)
        return
    with pytest.raises(ValueError, match=r"decoder has a linear layer.*set linear to true in both"):
        load_run_config("discretize_flux", settings)
