"""OneVAE's checkpoints: every tensor has its place or a reason, and the way back is exact."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from commands import vistok
from vistok import FSQ, IBQ, VQ, DualPath, MultiToken, SimVQ, VisualTokenizer
from vistok.models.published.wan import wan_options
from vistok.tokenizers.bottlenecks.bottleneck import Quantizer
from vistok.tokenizers.converters import onevae
from vistok.tokenizers.converters.onevae import FILE_NAME, OneVAEConverter, ema_name
from vistok.tokenizers.converters.onevae_quantizer import quant_settings

Z = 4
FSQ_CODES: dict[str, Any] = {"kind": "fsq", "levels": [8, 8, 8, 5, 5, 5]}


def tokens(quantizer: dict[str, Any], num_tokens: int = 1, dim: int = Z) -> dict[str, Any]:
    return {"kind": "multi_token", "quantizer": quantizer, "num_tokens": num_tokens, "dim": dim}


def tiny_onevae(quantizer: dict[str, Any] | None = None) -> VisualTokenizer:
    torch.manual_seed(0)
    encoder, decoder = wan_options(2, (1, 2), (True,), blocks=1)
    continuous = {"kind": "kl", "latent_channels": Z, "kl_weight": 0.0}
    quantizer = tokens(FSQ_CODES, 2) if quantizer is None else quantizer
    return VisualTokenizer(
        {"kind": "causal", **encoder},
        {"kind": "dual_path", "continuous": continuous, "quantizer": quantizer},
        {"kind": "causal", **decoder},
    ).eval()


def table(kind: str, **options: Any) -> dict[str, Any]:
    return tokens({"kind": kind, "codebook_size": 16, "codebook_dim": 3, **options})


NO_TERM: dict[str, Any] = {"entropy_weight": 0.0}
# Quantizer of ours, what a config must say of it, and the names of its tensors in the file.
QUANTIZERS: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "two tokens of FSQ": (tokens(FSQ_CODES, 2), {}, set()),
    "other levels": (
        tokens({"kind": "fsq", "levels": [8, 5, 5]}, 3),
        {"quant_config": {"levels": [8, 5, 5], "num_codebooks": 3}},
        set(),
    ),
    "projected FSQ": (
        tokens(tokens(FSQ_CODES, 2, dim=5)),
        {"quant_type": "FSQ"},
        {f"quantize.project_{way}.{kind}" for way in ("in", "out") for kind in ("weight", "bias")},
    ),
    "VQ": (
        table("vq", commitment_weight=1.0, codebook_weight=0.25),
        {"quant_type": "VectorQuantizer"},
        {"quantize.embedding.weight"},
    ),
    "VQ, terms as in the paper": (
        table("vq", commitment_weight=0.5, codebook_weight=1.0),
        {"quant_type": "VQ", "quant_config": {"beta": 0.5, "legacy": False}},
        {"quantize.embedding.weight"},
    ),
    "IBQ": (
        table("ibq", **NO_TERM),
        {"model": {"params": {"quant_type": "IBQ", "n_embed": 16}}},
        {"quantize.embedding.weight"},
    ),
    "SimVQ": (
        table("simvq", commitment_weight=1.0, codebook_weight=0.25),
        {},
        {"quantize.embedding", "quantize.embedding_proj.weight", "quantize.embedding_proj.bias"},
    ),
}


def config_file(folder: Path, settings: dict[str, Any]) -> Path | None:
    path = folder / "config.json"
    path.write_text(json.dumps(settings))
    return path if settings else None


@pytest.mark.parametrize("name", QUANTIZERS)
def test_every_quantizer_is_written_under_the_published_names_and_read_again(name, tmp_path):
    quantizer, settings, expected = QUANTIZERS[name]
    tokenizer = tiny_onevae(quantizer)
    path = OneVAEConverter().write(tokenizer, tmp_path / "file")
    state = torch.load(path, weights_only=True)["state_dict"]
    assert {n for n in state if n.startswith("quantize.")} == expected
    assert state["quant_conv.weight"].shape[1] == state["post_quant_conv.weight"].shape[0] == Z
    conversion = OneVAEConverter(config=config_file(tmp_path, settings)).read(path)
    again = conversion.tokenizer
    assert not again.training
    assert conversion.ignored == {"record of recent indices": 1}
    assumed = "levels (8, 8, 8, 5, 5, 5) as published" in conversion.weights
    assert assumed == (name in ("two tokens of FSQ", "projected FSQ"))
    own = tokenizer.state_dict()
    assert own.keys() == again.state_dict().keys()
    assert all(torch.equal(tensor, own[key]) for key, tensor in again.state_dict().items())
    assert settings_of(again) == settings_of(tokenizer)
    pixels = torch.rand(1, 3, 3, 8, 8) * 2 - 1
    assert torch.equal(again.encode(pixels).index, tokenizer.encode(pixels).index)


def settings_of(tokenizer: VisualTokenizer) -> list[dict[str, Any]]:
    """Weights of the loss of the innermost quantizer, and its levels."""
    assert isinstance(tokenizer.bottleneck, DualPath)
    found: Quantizer = tokenizer.bottleneck.quantizer
    rows = []
    while isinstance(found, MultiToken):
        rows.append({"tokens": len(found.quantizers), "dim": found.dim})
        found, *_ = (q for q in found.quantizers if isinstance(q, Quantizer))
    assert isinstance(found, FSQ | VQ | SimVQ | IBQ)
    row: dict[str, Any] = {"class": type(found), "sizes": found.group_sizes}
    if not isinstance(found, FSQ):
        row |= {"terms": (found.commitment_weight, found.codebook_weight)}
    if isinstance(found, IBQ):
        row |= {"entropy": found.entropy_loss.entropy_weight, "double": found.double_weight}
    return [*rows, row]


def training_file(folder: Path) -> Path:
    """A file with averages, which are half of the raw weights, losses and records."""
    path = OneVAEConverter().write(tiny_onevae(table("simvq")), folder)
    state = torch.load(path, weights_only=True)["state_dict"]
    for name, tensor in [*state.items()]:
        if name not in ("codebook_used", "quantize.embedding"):
            state[ema_name(name.removeprefix("model."))] = 0.5 * tensor
    for part in ("model", "quantize", "quant_conv", "post_quant_conv"):
        state[f"ema_{part}.decay"] = torch.tensor(0.9999)
        state[f"ema_{part}.num_updates"] = torch.tensor(-1, dtype=torch.int32)
    state["loss.discriminator.main.0.weight"] = torch.ones(2)
    torch.save({"epoch": 3, "state_dict": state}, path)
    return path


def test_averages_are_used_and_frozen_tensors_stay_raw(tmp_path):
    path = training_file(tmp_path)
    averaged, raw = (OneVAEConverter(kind).read(path) for kind in ("ema", "raw"))
    used = averaged.used
    assert used == raw.used
    assert averaged.weights == f"{used - 1} averaged and 1 raw tensors"
    assert averaged.ignored == {
        "raw weights that have an average": used - 1,
        "record of the averaging": 8,
        "record of recent indices": 1,
        "networks of the losses": 1,
    }
    assert raw.weights == f"0 averaged and {used} raw tensors"
    assert raw.ignored["averages, raw weights were requested"] == used - 1
    for name, tensor in raw.tokenizer.state_dict().items():
        factor = 1.0 if name.endswith(".table") else 0.5
        assert torch.equal(averaged.tokenizer.state_dict()[name], factor * tensor)
    assert ema_name("encoder.conv1.weight") == "ema_model.encoderconv1weight"
    assert ema_name("quantize.embedding.weight") == "ema_quantize.embeddingweight"


@pytest.mark.parametrize("kind", ["flat", "bare", "nested", "doubled prefix"])
def test_every_container_holds_the_same_model(kind, tmp_path):
    tokenizer = tiny_onevae()
    path = OneVAEConverter().write(tokenizer, tmp_path)
    state = torch.load(path, weights_only=True)["state_dict"]
    match kind:
        case "flat":
            content = state
        case "bare":
            content = {name.removeprefix("model."): tensor for name, tensor in state.items()}
        case "nested":
            networks = {n: t for n, t in state.items() if n.startswith("model.")}
            inner = {n.removeprefix("model."): t for n, t in networks.items()}
            rest = {n: t for n, t in state.items() if n not in networks}
            content = {"model": {"model": inner, **rest}}
        case _:
            content = {"state_dict": {f"model.{name}": tensor for name, tensor in state.items()}}
    torch.save(content, tmp_path / "other.ckpt")
    again = OneVAEConverter().read(tmp_path / "other.ckpt").tokenizer.state_dict()
    assert all(torch.equal(again[name], t) for name, t in tokenizer.state_dict().items())


def test_a_file_without_quantizer_becomes_a_continuous_tokenizer(tmp_path):
    path = OneVAEConverter().write(tiny_onevae(), tmp_path)
    state = torch.load(path, weights_only=True)["state_dict"]
    networks = {name: tensor for name, tensor in state.items() if "quant_conv" not in name}
    torch.save(networks, tmp_path / "networks.pth")
    tokenizer = OneVAEConverter().read(tmp_path / "networks.pth").tokenizer
    assert tokenizer.paths == ("continuous",)


@pytest.mark.parametrize(
    ("quantizer", "settings", "message"),
    [
        (table("vq"), {}, r"one of VQ or of IBQ: give --config with quant_type"),
        (tokens({"kind": "fsq", "levels": [8, 5, 5, 5]}), {}, r"4 values per .* 6 levels"),
        (tokens(FSQ_CODES, 2), {"num_codebooks": 3}, r"12 values .* x 3 codebooks do not give"),
        (tokens(FSQ_CODES, 2), {"levels": "many"}, "levels"),
        (tokens(FSQ_CODES, 2), {"quant_type": "LFQ"}, "quant_type"),
        (tokens(FSQ_CODES, 2), {"quant_type": "IBQ"}, r"matrix quantize\.embedding\.weight"),
    ],
)
def test_what_neither_tensors_nor_config_tell_is_asked_for(quantizer, settings, message, tmp_path):
    path = OneVAEConverter().write(tiny_onevae(quantizer), tmp_path / "file")
    with pytest.raises(ValueError, match=message):
        OneVAEConverter(config=config_file(tmp_path, settings)).read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder.upsample_highres.resample.weight": torch.ones(1)}, "first-frame enhancement"),
        ({"quant_conv.weight": torch.ones(8, 8, 1, 1, 1)}, "convert it with the family wan"),
        ({"extra": torch.ones(1)}, r"1 tensor.* no place in the model: extra"),
        ({"model.quant_conv.bias": torch.ones(12)}, r"holds quant_conv\.bias twice"),
        ({"quant_conv.bias": torch.ones(11)}, r"quant_conv\.bias should be \(12,\), got \(11,\)"),
        ({"post_quant_conv.bias": None}, r"missing: bottleneck\.quantizer\.project_out\.bias"),
    ],
)
def test_other_tensors_are_refused(change, message, tmp_path):
    path = OneVAEConverter().write(tiny_onevae(), tmp_path)
    state = torch.load(path, weights_only=True)["state_dict"] | change
    torch.save({name: tensor for name, tensor in state.items() if tensor is not None}, path)
    with pytest.raises(ValueError, match=message):
        OneVAEConverter().read(path)


@pytest.mark.parametrize(
    "quantizer",
    [
        {"kind": "multi_token", "num_tokens": 1, "quantizer": {"kind": "fsq", "levels": [5] * Z}},
        tokens({"kind": "fsq", "levels": [5, 5], "symmetric": True}),
        table("vq", distance="cosine"),
        table("vq", update="ema"),
        {**table("vq"), "num_tokens": 2},
    ],
)
def test_other_tokenizers_are_not_written(quantizer, tmp_path):
    with pytest.raises(ValueError, match="this tokenizer is not a OneVAE: its bottleneck is not"):
        OneVAEConverter().write(tiny_onevae(quantizer), tmp_path)


def test_options_and_files_are_checked(tmp_path):
    with pytest.raises(ValueError, match="weights must be ema or raw, got 'both'"):
        OneVAEConverter("both")
    path = OneVAEConverter().write(tiny_onevae(), tmp_path)
    with pytest.raises(ValueError, match="already exists; choose another --output"):
        OneVAEConverter().write(tiny_onevae(), tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no config at .*none\.yaml"):
        OneVAEConverter(config=tmp_path / "none.yaml").read(path)
    assert quant_settings({"params": {"quant_config": {"levels": [5, 5]}}}).levels == (5, 5)
    assert onevae.__doc__ is not None
    rows = re.findall(r"^ +(\S+) +-> +(ema_\S+)$", onevae.__doc__, re.MULTILINE)
    assert len(rows) == 2
    assert all(ema_name(raw.removeprefix("model.")) == average for raw, average in rows)


def test_the_command_line_converts_both_ways(tmp_path):
    path = training_file(tmp_path / "theirs")
    made = vistok("convert", "onevae", path, "--weights", "raw", "--output", tmp_path / "ours",
                  "--json")  # fmt: skip
    assert json.loads(made.stdout)["ignored"]["networks of the losses"] == 1
    vistok("convert", "onevae", tmp_path / "ours", "--output", tmp_path / "back", "--reverse")
    written = torch.load(tmp_path / "back" / FILE_NAME, weights_only=True)["state_dict"]
    original = torch.load(path, weights_only=True)["state_dict"]
    assert all(torch.equal(original[name], tensor) for name, tensor in written.items())
    config = config_file(tmp_path, {"quant_type": "SimVQ"})
    assert config is not None
    vistok("convert", "onevae", path, "--config", config, "--output", tmp_path / "again")
    refused = vistok("convert", "onevae", tmp_path / "ours", "--config", config, "--reverse",
                     "--output", tmp_path / "no", code=2)  # fmt: skip
    assert "--config has no effect with --reverse" in refused.stderr
