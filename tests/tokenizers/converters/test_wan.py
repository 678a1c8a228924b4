"""Wan 2.1's VAE: the original file and diffusers' folder on our stages, and back bit for bit."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from safetensors.torch import load_file, save_file

from commands import vistok
from vistok import VisualTokenizer
from vistok.models.published.wan import wan_options
from vistok.tokenizers.converters import wan_names
from vistok.tokenizers.converters.wan import FILE_NAME, WanConverter, original_state
from vistok.tokenizers.converters.wan_config import PUBLISHED, check_config
from vistok.tokenizers.converters.wan_names import original_names, reference_names

WEIGHTS = "diffusion_pytorch_model.safetensors"
REMEDY = "diffusers:AutoencoderKLWan:FOLDER.* works wherever a tokenizer is"

CASES: dict[str, dict[str, Any]] = {
    "Wan 2.1, narrow": {"base_dim": 4, "z_dim": 16},
    "two levels, one block": {
        "base_dim": 4,
        "dim_mult": [1, 2],
        "num_res_blocks": 1,
        "temperal_downsample": [True],
        "z_dim": 4,
        "latents_mean": [0.1, 0.2, 0.3, 0.4],
        "latents_std": [1.0, 2.0, 3.0, 4.0],
    },
    "wider decoder, odd factors": {
        "base_dim": 4,
        "decoder_base_dim": 6,
        "dim_mult": [2, 3, 4],
        "num_res_blocks": 3,
        "temperal_downsample": [True, False],
        "z_dim": 4,
    },
    "one level": {"base_dim": 4, "dim_mult": [1], "temperal_downsample": [], "z_dim": 2},
}


def tiny_wan(base_dim: int = 4, **options: Any) -> AutoencoderKLWan:
    """An AutoencoderKLWan of random weights, norms and biases included."""
    torch.manual_seed(0)
    model = AutoencoderKLWan(base_dim=base_dim, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            if len(parameter) == parameter.numel():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def original(model: AutoencoderKLWan) -> dict[str, torch.Tensor]:
    """The tensors as the original file has them."""
    return original_state(model.state_dict())


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal up to the rounding of float32, relative to the largest value."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


def assert_identical(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_a_folder_is_read_with_its_latents_and_pixels_and_written_back_bit_for_bit(name, tmp_path):
    model = tiny_wan(**CASES[name])
    model.save_pretrained(tmp_path / "theirs")
    conversion = WanConverter().read(tmp_path / "theirs")
    tokenizer = conversion.tokenizer
    assert not tokenizer.training
    assert (conversion.used, conversion.ignored) == (len(model.state_dict()), {})

    side = 4 * tokenizer.spatial_compression
    pixels = torch.rand(2, 3, 5, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    encoded = model.encode(pixels)
    assert isinstance(encoded, AutoencoderKLOutput)
    theirs = encoded.latent_dist
    posterior = tokenizer.encode(pixels).posterior
    assert posterior is not None
    (ours,) = posterior.grids
    assert ours.logvar is not None
    assert_same(ours.mean, theirs.mean)
    assert_same(ours.logvar, theirs.logvar)
    decoded = model.decode(theirs.mean)
    assert isinstance(decoded, DecoderOutput)
    # diffusers clamps, we do not
    assert_same(tokenizer.decode_latents(theirs.mean).clamp(-1, 1), decoded.sample)

    WanConverter("diffusers").write(tokenizer, tmp_path / "back")
    assert_identical(
        load_file(tmp_path / "back" / WEIGHTS), load_file(tmp_path / "theirs" / WEIGHTS)
    )
    again: Any = AutoencoderKLWan.from_pretrained(tmp_path / "back")
    assert torch.equal(again.encode(pixels).latent_dist.mean, theirs.mean)
    written, read = settings(tmp_path / "back"), settings(tmp_path / "theirs")
    if len(read["latents_mean"]) == model.config["z_dim"]:
        derived = {"scale_factor_temporal", "scale_factor_spatial"}
        assert {k: written[k] for k in read.keys() - derived} == {
            k: read[k] for k in read.keys() - derived
        }
    WanConverter("diffusers").write(
        WanConverter().read(tmp_path / "back").tokenizer, tmp_path / "2"
    )
    assert settings(tmp_path / "2") == written


def settings(folder: Path) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text())
    return {name: value for name, value in config.items() if not name.startswith("_")}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_original_file_gives_the_same_model_and_is_written_back_bit_for_bit(suffix, tmp_path):
    model = tiny_wan()
    path = tmp_path / f"file{suffix}"
    state = {name: tensor.contiguous() for name, tensor in original(model).items()}
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    conversion = WanConverter().read(path)
    assert conversion.used == len(state)
    model.save_pretrained(tmp_path / "folder")
    folder = WanConverter().read(tmp_path / "folder").tokenizer
    assert_identical(conversion.tokenizer.state_dict(), folder.state_dict())
    assert conversion.tokenizer.config == folder.config
    written = WanConverter().write(conversion.tokenizer, tmp_path / "back")
    assert written.name == FILE_NAME
    assert_identical(torch.load(written, weights_only=True), state)
    with pytest.raises(ValueError, match="already exists; choose another --output"):
        WanConverter().write(conversion.tokenizer, tmp_path / "back")


def test_the_published_scale_is_diffusers_own_and_only_for_16_channels(tmp_path):
    defaults = inspect.signature(AutoencoderKLWan.__init__).parameters
    for name, values in PUBLISHED.items():
        assert list(values) == defaults[name].default
    for channels, scale in ((16, [*PUBLISHED["latents_mean"]]), (4, None)):
        path = tmp_path / f"{channels}.pth"
        torch.save(original(tiny_wan(z_dim=channels)), path)
        conversion = WanConverter().read(path)
        assert conversion.tokenizer.latent_scale.latents_mean == scale
        said = "the latent scale that Wan 2.1 published" if scale else "no latent scale"
        assert said in conversion.weights


def test_one_factor_for_all_channels_becomes_statistics_of_each(tmp_path):
    encoder, decoder = wan_options(4, (1, 2), (True,))
    tokenizer = VisualTokenizer(
        {"kind": "causal", **encoder},
        {"kind": "kl", "latent_channels": 2},
        {"kind": "causal", **decoder},
        scaling_factor=0.5,
        shift_factor=0.25,
    )
    WanConverter("diffusers").write(tokenizer, tmp_path)
    assert settings(tmp_path)["latents_mean"] == [0.25, 0.25]
    assert settings(tmp_path)["latents_std"] == [2.0, 2.0]
    per_frame = VisualTokenizer(
        {"kind": "causal", **encoder},
        {"kind": "kl", "latent_channels": 2},
        {"kind": "causal", **decoder},
        latents_mean=[[0.0, 1.0], [0.0, 1.0]],
        latents_std=[[1.0, 1.0], [1.0, 1.0]],
    )
    with pytest.raises(ValueError, match="per frame or per packed square"):
        WanConverter("diffusers").write(per_frame, tmp_path / "other")


def test_a_model_that_diffusers_cannot_encode_with_is_written_with_a_warning(tmp_path, caplog):
    encoder, decoder = wan_options(2, (1, 1, 1, 1), (True, True, True), blocks=1)
    tokenizer = VisualTokenizer(
        {"kind": "causal", **encoder},
        {"kind": "kl", "latent_channels": 2},
        {"kind": "causal", **decoder},
    )
    WanConverter("diffusers").write(tokenizer, tmp_path)
    assert "cannot encode: it encodes 4 frames at a time" in caplog.text
    AutoencoderKLWan.from_pretrained(tmp_path)


def test_the_names_in_the_docstring_are_true():
    encoder, decoder = wan_options(4, (1, 2, 4), (False, True))
    with torch.device("meta"):
        tokenizer = VisualTokenizer(
            {"kind": "causal", **encoder}, {"kind": "kl"}, {"kind": "causal", **decoder}
        )
    names = reference_names(tokenizer.state_dict(), levels=3, blocks=2)
    assert wan_names.__doc__ is not None
    rows = re.findall(r"^ +((?:en|de)coder\.\S+) +(\S+)$", wan_names.__doc__, re.MULTILINE)
    assert len(rows) == 6
    for ours, theirs in rows:
        assert names[ours] == theirs


def test_wan_has_the_names_and_shapes_of_diffusers():
    with torch.device("meta"):
        model = AutoencoderKLWan()
    names = original_names(model.state_dict(), blocks=2)
    tokenizer = check_config(model.config).architecture.build({"kind": "kl", "latent_channels": 16})
    own = tokenizer.state_dict()
    ours = reference_names(own, levels=4, blocks=2)
    assert set(names.values()) == set(ours.values())
    shapes = {names[name]: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name, theirs in ours.items():
        assert wan_names.reference_shape(theirs, own[name]) == shapes[theirs]


# ---- refused -------------------------------------------------------------------------------------


def test_the_residual_variant_is_refused_by_name(tmp_path):
    model = tiny_wan(
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        dim_mult=[1, 1],
        temperal_downsample=[True],
    )
    model.save_pretrained(tmp_path / "folder")
    with pytest.raises(ValueError, match=rf"residual variant \(is_residual and patch.*{REMEDY}"):
        WanConverter().read(tmp_path / "folder")
    with pytest.raises(ValueError, match=f"is Wan 2.2's residual variant.*{REMEDY}"):
        WanConverter().read(tmp_path / "folder" / WEIGHTS)
    nested = original(tiny_wan()) | {
        "encoder.downsamples.0.downsamples.0.residual.0.gamma": torch.ones(4, 1, 1, 1)
    }
    torch.save(nested, tmp_path / "Wan2.2_VAE.pth")
    with pytest.raises(ValueError, match=f"is Wan 2.2's residual variant.*{REMEDY}"):
        WanConverter().read(tmp_path / "Wan2.2_VAE.pth")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"attn_scales": [1.0]}, f"attn_scales.*\n.*cannot be this network; {REMEDY}"),
        ({"out_channels": 4}, "out_channels"),
        ({"unheard": 1}, "unheard: unknown"),
        ({"temperal_downsample": [True]}, "one entry per downsampling, 3, got 1"),
        ({"_class_name": "AutoencoderKL"}, "reads diffusers' AutoencoderKLWan, got a config of"),
    ],
)
def test_settings_that_our_blocks_do_not_have_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        check_config(setting)


def test_a_config_of_other_sizes_than_the_tensors_is_refused(tmp_path):
    tiny_wan(dim_mult=[1, 2], temperal_downsample=[True]).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"temperal_downsample": [False]}))
    with pytest.raises(ValueError, match=r"the config describes .*False.* those of .*True"):
        WanConverter().read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder.extra.weight": torch.ones(1)}, r"1 tensor.* no place in the model: encoder\.ex"),
        ({"decoder.head.2.bias": None}, r"1 weight.* missing: decoder\.conv_out\.bias"),
        ({"conv2.weight": torch.ones(4, 4)}, r"conv2\.weight should be \(4, 4, 1, 1, 1\)"),
        ({"encoder.conv1.weight": None}, r"not a Wan 2\.1 VAE: it has no kernel encoder\.conv1"),
        ({"encoder.conv1.weight": torch.ones(3, 3, 3, 3, 3)}, "are not multiples of 3"),
        ({"decoder.head.2.weight": torch.ones(3)}, "no kernel decoder.head.2.weight"),
        ({"encoder.downsamples.1.to_qkv.weight": torch.ones(1)}, "attention within levels"),
        ({"quant_conv.weight": torch.ones(12, 4)}, "convert it with the family onevae"),
    ],
)
def test_tensors_that_are_missing_left_over_or_misshapen_are_named(change, message, tmp_path):
    state = original(tiny_wan(z_dim=4, dim_mult=[1, 2], temperal_downsample=[True])) | change
    path = tmp_path / "x.pth"
    torch.save({name: tensor for name, tensor in state.items() if tensor is not None}, path)
    with pytest.raises(ValueError, match=message):
        WanConverter().read(path)


def test_other_tokenizers_are_not_written(tmp_path):
    encoder, decoder = wan_options(4, (1, 2), (True,))
    for changed, bottleneck in (
        ({**encoder, "norm_eps": 1e-3}, {"kind": "kl"}),
        ({**encoder, "quant_conv": False}, {"kind": "kl"}),
        (encoder, {"kind": "kl", "logvar": "uniform"}),
        (encoder, {"kind": "plain"}),
        ({**encoder, "stages": [{"width": 4, "resample": "split", "time": 2}]}, {"kind": "kl"}),
    ):
        tokenizer = VisualTokenizer(
            {"kind": "causal", **changed}, bottleneck, {"kind": "causal", **decoder}
        )
        with pytest.raises(ValueError, match=r"this tokenizer is not a Wan 2\.1 VAE"):
            WanConverter().write(tokenizer, tmp_path / "none")
    (tmp_path / "config.json").write_text("{}")
    same = VisualTokenizer(
        {"kind": "causal", **encoder}, {"kind": "kl"}, {"kind": "causal", **decoder}
    )
    with pytest.raises(ValueError, match="already holds a model; choose another --output"):
        WanConverter("diffusers").write(same, tmp_path)
    with pytest.raises(ValueError, match="version must be original or diffusers, got 'new'"):
        WanConverter("new")


def test_the_command_line_converts_both_ways(tmp_path):
    tiny_wan().save_pretrained(tmp_path / "theirs")
    out = vistok("convert", "wan", tmp_path / "theirs", "--output", tmp_path / "ours").stdout
    assert re.match(r"used: \d+ tensors, the latent scale of the config\ntokenizer: ", out)
    back = ["convert", "wan", tmp_path / "ours", "--reverse", "--output"]
    assert vistok(*back, tmp_path / "file").stdout.strip().endswith(FILE_NAME)
    vistok(*back, tmp_path / "folder", "--version", "diffusers")
    theirs, ours = (tmp_path / name / WEIGHTS for name in ("theirs", "folder"))
    assert_identical(load_file(ours), load_file(theirs))
    refused = vistok("convert", "wan", tmp_path / "theirs", "--output", tmp_path / "no",
                     "--version", "original", code=2)  # fmt: skip
    assert "--version has no effect without --reverse" in refused.stderr
