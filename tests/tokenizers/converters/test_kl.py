"""diffusers' AutoencoderKL on our stages: the same latents and pixels, and back bit for bit."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from safetensors.torch import load_file, save_file

from commands import vistok
from vistok import VisualTokenizer
from vistok.models.published.kl import kl_options
from vistok.tokenizers.converters import kl
from vistok.tokenizers.converters.kl import KLConverter, read_autoencoder, reference_names
from vistok.tokenizers.converters.kl_config import KLConfig, check_config, config_of

WEIGHTS = "diffusion_pytorch_model.safetensors"


def tiny_autoencoder(widths: tuple[int, ...] = (32, 64), **options: Any) -> AutoencoderKL:
    """An AutoencoderKL of random weights, norms and biases included."""
    torch.manual_seed(0)
    levels: dict[str, Any] = {
        "block_out_channels": widths,
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
    }
    model = AutoencoderKL(**levels, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


CASES: dict[str, dict[str, Any]] = {
    "two levels": {"widths": (32, 64), "layers_per_block": 2},
    "one level": {"widths": (32,)},
    "three levels, no quant_conv": {
        "widths": (32, 32, 64),
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "latent_channels": 16,
        "shift_factor": 0.06,
        "scaling_factor": 1.5,
    },
    "four levels, no attention": {"widths": (32, 64, 64, 64), "mid_block_add_attention": False},
    "measured latents": {
        "use_quant_conv": False,
        "latents_mean": (0.1, 0.2, 0.3, 0.4),
        "latents_std": (1.0, 2.0, 3.0, 4.0),
        "scaling_factor": 1.0,
    },
}


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_a_folder_is_read_with_its_latents_and_pixels_and_written_back_bit_for_bit(name, tmp_path):
    model = tiny_autoencoder(**CASES[name])
    model.save_pretrained(tmp_path / "theirs")
    conversion = KLConverter().read(tmp_path / "theirs")
    tokenizer = conversion.tokenizer
    assert not tokenizer.training
    assert conversion.used == len(model.state_dict())
    assert conversion.ignored == {}

    side = 8 * tokenizer.spatial_compression
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    encoded = model.encode(images)
    assert isinstance(encoded, AutoencoderKLOutput)
    theirs = encoded.latent_dist
    posterior = tokenizer.encode_images(images).posterior
    assert posterior is not None
    (ours,) = posterior.grids
    assert ours.logvar is not None
    assert_same(ours.mean[:, :, 0], theirs.mean)
    assert_same(ours.logvar[:, :, 0], theirs.logvar)
    pixels = tokenizer.decode_latents(theirs.mean.unsqueeze(2))[:, :, 0]
    decoded = model.decode(theirs.mean)
    assert isinstance(decoded, DecoderOutput)
    assert_same(pixels, decoded.sample)

    KLConverter().write(tokenizer, tmp_path / "back")
    written = load_file(tmp_path / "back" / WEIGHTS)
    original = load_file(tmp_path / "theirs" / WEIGHTS)
    assert written.keys() == original.keys()
    assert all(torch.equal(written[key], original[key]) for key in original)
    assert settings(tmp_path / "back") == settings(tmp_path / "theirs")
    again: Any = AutoencoderKL.from_pretrained(tmp_path / "back")
    assert torch.equal(again.encode(images).latent_dist.mean, theirs.mean)


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal up to the rounding of float32, relative to the largest value."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


def settings(folder: Path) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text())
    return {name: value for name, value in config.items() if not name.startswith("_")}


def test_the_names_in_the_docstring_are_true():
    model = tiny_autoencoder((32, 64))
    names = reference_names(read_autoencoder(model.config, model.state_dict()).state_dict(), 2)
    assert kl.__doc__ is not None
    rows = re.findall(r"^ +((?:en|de)coder\.\S+) +(\S+)$", kl.__doc__, re.MULTILINE)
    assert len(rows) == 5
    for ours, theirs in rows:
        assert names[ours] == (theirs,)
    assert [name[-1] for name in names["encoder.stages.2.attentions.0.to_qkv.bias"]] == ["s"] * 3


def test_stable_diffusions_autoencoder_has_its_names_and_shapes():
    config = KLConfig(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
    )
    with torch.device("meta"):
        theirs = AutoencoderKL(**config.model_dump()).state_dict()
        ours = config.build().state_dict()
    names = reference_names(ours, 4)
    assert {name for group in names.values() for name in group} == theirs.keys()
    assert all(
        sum(theirs[name].numel() for name in group) == ours[own].numel()
        for own, group in names.items()
    )
    assert sum(tensor.numel() for tensor in ours.values()) == 83_653_863


def test_the_latent_scale_is_carried_over():
    model = tiny_autoencoder(scaling_factor=0.5, shift_factor=0.25)
    tokenizer = read_autoencoder(model.config, model.state_dict())
    latents = torch.ones(1, 4, 1, 2, 2)
    assert torch.equal(tokenizer.normalize(latents), 0.5 * (latents - 0.25))
    # Measured by vistok: the only scale that either library then applies.
    measured = {"latents_mean": [0.0] * 4, "latents_std": [2.0] * 4, "scaling_factor": 0.5}
    tokenizer.register_to_config(**measured)
    written = config_of(tokenizer)
    assert (written.scaling_factor, written.shift_factor) == (1.0, None)
    assert written.latents_std == (2.0,) * 4


def test_settings_that_a_config_lacks_have_the_defaults_of_diffusers():
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(AutoencoderKL.__init__).parameters.items()
        if name != "self"
    }
    assert KLConfig().model_dump() == defaults
    assert check_config({"_class_name": "AutoencoderKL", "_diffusers_version": "0"}) == KLConfig()


def test_half_precision_is_read_in_fp32_and_weights_are_not_shared():
    model = tiny_autoencoder((32,))
    tokenizer = read_autoencoder(model.config, {n: t.half() for n, t in model.state_dict().items()})
    assert {tensor.dtype for tensor in tokenizer.state_dict().values()} == {torch.float32}
    tokenizer = read_autoencoder(model.config, model.state_dict())
    with torch.no_grad():
        tokenizer.get_parameter("encoder.conv_in.weight").zero_()
    assert model.encoder.conv_in.weight.any()


def test_attention_of_older_files_is_read():
    model = tiny_autoencoder((32,))
    state = model.state_dict()
    renames = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {}
    for name, tensor in state.items():
        for new, before in renames.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{before}.")
        old[name] = tensor
    assert len(old.keys() - state.keys()) == 16
    expected = read_autoencoder(model.config, state).state_dict()
    found = read_autoencoder(model.config, old).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm_num_groups": 16}, r"AutoencoderKL\.norm_num_groups"),
        ({"act_fn": "relu"}, r"AutoencoderKL\.act_fn"),
        ({"in_channels": 1}, r"AutoencoderKL\.in_channels"),
        ({"down_block_types": ["AttnDownEncoderBlock2D"]}, r"down_block_types"),
        ({"up_block_types": ["AttnUpDecoderBlock2D"]}, r"up_block_types"),
        ({"resnet_eps": 1e-5}, r"AutoencoderKL\.resnet_eps"),
        ({"layers_per_block": "two"}, r"AutoencoderKL\.layers_per_block"),
    ],
)
def test_settings_that_the_blocks_do_not_have_are_refused_by_name(change, message):
    remedy = "cannot be this network; diffusers:AutoencoderKL:FOLDER takes it as it is"
    with pytest.raises(ValueError, match=rf"(?s){message}.*{remedy}"):
        read_autoencoder(change, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "AutoencoderKLWan"}, "got a config of AutoencoderKLWan"),
        ({"block_out_channels": [32, 64]}, "one entry per level, got 1 and 2"),
        ({"block_out_channels": [40]}, "group norm needs channels divisible by 32, got 40"),
        ({"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}, "vistok applies one scale; in"),
        ({"latents_mean": [0.0] * 4, "scaling_factor": 1.0}, "latents_std belong together"),
    ],
)
def test_contradictory_configs_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        read_autoencoder(change, {})


def test_tensors_must_be_those_of_the_config():
    model = tiny_autoencoder((32,))
    state = dict(model.state_dict())
    extra = {**state, "encoder.extra.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"1 tensor.* no place in the model: encoder\.extra"):
        read_autoencoder(model.config, extra)
    name = "encoder.mid_block.attentions.0.to_k.weight"
    convolution = {**state, name: state[name][:, :, None, None]}
    with pytest.raises(ValueError, match=r"to_k\.weight should be \(32, 32\), got .*1, 1\)"):
        read_autoencoder(model.config, convolution)
    del state["quant_conv.bias"]
    with pytest.raises(ValueError, match=r"1 tensor\(s\) of the .* missing: quant_conv\.bias"):
        read_autoencoder(model.config, state)


def test_folders_without_config_or_safetensors_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found no config\.json"):
        KLConverter().read(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(FileNotFoundError, match=r"found no diffusion_pytorch_model\.safetensors"):
        KLConverter().read(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match=r"config\.json must hold a mapping, got list"):
        KLConverter().read(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
        KLConverter().read(tmp_path)


def test_other_tokenizers_are_not_written(tmp_path):
    encoder, decoder = kl_options((32, 32), 1)
    video, _ = kl_options((32, 32), 1, times=(1,))
    for changed, bottleneck in (
        ({**encoder, "norm_eps": 1e-3}, {"kind": "kl", "latent_channels": 4}),
        (video, {"kind": "kl", "latent_channels": 4}),
        (encoder, {"kind": "kl", "latent_channels": 4, "logvar": "uniform"}),
        (encoder, {"kind": "plain", "latent_channels": 4}),
        ({**encoder, "stages": [{"width": 32, "resample": "split"}]}, {"kind": "kl"}),
    ):
        tokenizer = VisualTokenizer(
            {"kind": "causal", **changed}, bottleneck, {"kind": "causal", **decoder}
        )
        with pytest.raises(ValueError, match="this tokenizer is not an AutoencoderKL"):
            KLConverter().write(tokenizer, tmp_path / "none")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="already holds a model; choose another --output"):
        KLConverter().write(tokenizer, tmp_path)


def test_the_command_line_converts_both_ways(tmp_path):
    tiny_autoencoder((32,)).save_pretrained(tmp_path / "theirs")
    out = vistok("convert", "kl", tmp_path / "theirs", "--output", tmp_path / "ours").stdout
    assert re.match(r"used: \d+ tensors\ntokenizer: ", out)
    card = (tmp_path / "ours" / "README.md").read_text()
    assert f"Converted from `{WEIGHTS}` (sha256 `" in card
    back = vistok("convert", "kl", tmp_path / "ours", "--output", tmp_path / "back", "--reverse")
    assert back.stdout.strip() == f"checkpoint: {tmp_path / 'back'}"
    assert (tmp_path / "back" / WEIGHTS).read_bytes() == (
        tmp_path / "theirs" / WEIGHTS
    ).read_bytes()
