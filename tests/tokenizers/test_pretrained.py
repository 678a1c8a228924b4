"""A saved tokenizer loads as it was saved, or not at all; no config takes memory unchecked."""

import json
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tiny import tiny_tokenizer
from vistok import VisualTokenizer
from vistok.models.blocks.latent_scale import LatentScale

WEIGHTS = "diffusion_pytorch_model.safetensors"


def edit_config(folder: Path, change) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def edit_weights(folder: Path, change) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def test_checksums_name_config_and_weights(saved_tokenizer):
    from hashlib import sha256

    stored = json.loads((saved_tokenizer / "checksums.json").read_text())
    assert stored == {
        name: sha256((saved_tokenizer / name).read_bytes()).hexdigest()
        for name in ("config.json", WEIGHTS)
    }


def test_an_edited_config_is_named_with_what_to_do(saved_tokenizer):
    edit_config(saved_tokenizer, lambda config: config.update(scaling_factor=2.0))
    with pytest.raises(ValueError, match=r"config\.json .*edited it on purpose.*delete checksums"):
        VisualTokenizer.from_pretrained(saved_tokenizer)
    (saved_tokenizer / "checksums.json").unlink()
    assert VisualTokenizer.from_pretrained(saved_tokenizer).config["scaling_factor"] == 2.0


def test_other_weights_are_named(saved_tokenizer):
    edit_weights(saved_tokenizer, lambda w: w["encoder.conv_in.bias"].add_(1))
    with pytest.raises(ValueError, match=rf"{WEIGHTS} is not the file .* checksums\.json"):
        VisualTokenizer.from_pretrained(saved_tokenizer)


@pytest.mark.parametrize(
    "content", ["[1]", "null", "{", "", '{"config.json": 1}', '{"config.json": "0"}', "\xff"]
)
def test_damaged_checksums_are_named(saved_tokenizer, content):
    (saved_tokenizer / "checksums.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=r"checksums\.json"):
        VisualTokenizer.from_pretrained(saved_tokenizer)


def test_saving_again_renews_the_checksums(saved_tokenizer):
    tokenizer = tiny_tokenizer("image", {"kind": "kl", "latent_channels": 2})
    tokenizer.save_pretrained(saved_tokenizer)
    assert VisualTokenizer.from_pretrained(saved_tokenizer).paths == ("continuous",)


def test_weights_in_several_files_are_checked_too(tmp_path):
    tiny_tokenizer().save_pretrained(tmp_path, max_shard_size="20KB")
    shards = sorted(tmp_path.glob("*-of-*.safetensors"))
    assert len(shards) > 1
    assert len(json.loads((tmp_path / "checksums.json").read_text())) == len(shards) + 2
    VisualTokenizer.from_pretrained(tmp_path)
    content = bytearray(shards[-1].read_bytes())
    content[-1] ^= 1
    shards[-1].write_bytes(content)
    with pytest.raises(ValueError, match=shards[-1].name):
        VisualTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "content", ["[1]", "null", "3", '"x"', "[" * 100_000, '{"a":' * 100_000, "{", "\xff{}"]
)
def test_a_config_that_is_not_a_mapping_is_named(saved_tokenizer, content):
    (saved_tokenizer / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=r"config\.json"):
        VisualTokenizer.from_pretrained(saved_tokenizer)


def nested(depth: int) -> dict:
    options = {"kind": "fsq"}
    for _ in range(depth):
        options = {"kind": "residual", "num_quantizers": 1, "quantizer": options}
    return options


BOMBS = {
    "blocks": lambda c: c["encoder_config"]["stages"][0].update(blocks=10_000_000),
    "many blocks": lambda c: c["encoder_config"].update(stages=[{"width": 8, "blocks": 900}] * 900),
    "stages": lambda c: c["decoder_config"].update(stages=[{"width": 8}] * 10_000),
    "width": lambda c: c["encoder_config"].update(stages=[{"width": 30_000}] * 3),
    "widths": lambda c: c["encoder_config"].update(stages=[{"width": 10**20}]),
    "patches": lambda c: c["encoder_config"].update(patch_size=10**9),
    "quantizers": lambda c: c.update(
        bottleneck_config={
            "kind": "residual",
            "num_quantizers": 10**9,
            "quantizer": {"kind": "fsq"},
        }
    ),
    "codes": lambda c: c.update(bottleneck_config={"kind": "vq", "codebook_size": 2**40}),
    "channels": lambda c: c.update(bottleneck_config={"kind": "kl", "latent_channels": 50_000}),
    "nesting": lambda c: c.update(bottleneck_config=nested(300)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_config_larger_than_its_weights_is_refused_before_it_takes_memory(saved_tokenizer, name):
    import resource

    edit_config(saved_tokenizer, BOMBS[name])
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own message
        VisualTokenizer.from_pretrained(saved_tokenizer)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert kilobytes < 300_000
    assert time.process_time() - start < 10


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int32, torch.bool])
def test_weights_of_another_kind_of_number_are_refused(saved_tokenizer, dtype):
    name = "encoder.conv_in.weight"
    edit_weights(saved_tokenizer, lambda w: w.update({name: w[name].to(dtype)}))
    with pytest.raises(ValueError, match=f"of another dtype: {name}"):
        VisualTokenizer.from_pretrained(saved_tokenizer)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_weights_of_any_precision_load(tmp_path, dtype):
    saved = tiny_tokenizer().to(dtype)
    saved.save_pretrained(tmp_path)
    loaded = VisualTokenizer.from_pretrained(tmp_path).state_dict()
    for name, weight in saved.state_dict().items():
        assert torch.equal(loaded[name], weight.to(loaded[name].dtype)), name


@pytest.mark.parametrize(
    "scale",
    [
        {"scaling_factor": "x"},
        {"scaling_factor": 0},
        {"scaling_factor": float("nan")},
        {"scaling_factor": True},
        {"shift_factor": float("inf")},
        {"shift_factor": [1.0]},
        {"latents_mean": [0.0, 0.0], "latents_std": [1.0, 0.0]},
        {"latents_mean": [0.0, 0.0], "latents_std": [1.0, -1.0]},
        {"latents_mean": [0.0, None], "latents_std": [1.0, 1.0]},
        {"latents_mean": 0.5, "latents_std": 1.0},
        {"latents_mean": "ab", "latents_std": "cd"},
    ],
)
def test_an_impossible_scale_of_the_latents_is_refused(scale):
    config = tiny_tokenizer().config
    with pytest.raises(ValueError, match=f"{'|'.join(scale)} must"):
        LatentScale.from_config({**config, **scale}).check(channels=2)
