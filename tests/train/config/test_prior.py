"""Configs whose halves are those of an autoencoder of diffusers: what the source supplies."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers_models import TINY, build, save

from vistok import VisualTokenizer
from vistok.train.config.files import load_stages
from vistok.train.config.run_config import RunConfig
from vistok.train.run.warm_start import load_warm_start


def config(source: str | None, encoder: Any = None, decoder: Any = None, **train: Any) -> RunConfig:
    tree = {
        "model": {
            "encoder": {"kind": "diffusers", **(encoder or {})},
            "bottleneck": {"kind": "fsq", "levels": [8, 5, 5]},
            "decoder": {"kind": "diffusers", **(decoder or {})},
        },
        "data": {"source": "samples:heldout", "size": 32},
        "train": {"steps": 1, "losses": {"perceptual_weight": 0}, **train},
        "start": {"source": source},
    }
    (stage,) = load_stages(tree).values()
    return stage


def test_the_source_supplies_class_and_config(tmp_path: Path) -> None:
    run = config(save("AutoencoderKL", tmp_path))
    stored = run.to_tree()["model"]["encoder"]
    assert stored["class"] == "AutoencoderKL"
    assert stored["config"]["block_out_channels"] == [8, 8, 16]
    assert run.to_tree()["model"]["decoder"]["class"] is None  # that of the encoder
    again = RunConfig.model_validate(run.to_tree())  # as a resumed run reads it
    assert again.build_tokenizer().spatial_compression == 4


def test_a_run_that_states_everything_does_not_need_its_source_again(tmp_path: Path) -> None:
    tree = config(save("AutoencoderKL", tmp_path / "vae")).to_tree()
    shutil.rmtree(tmp_path / "vae")
    (stage,) = load_stages(tree).values()
    assert stage.to_tree() == tree


def test_later_stages_take_the_class_of_the_previous_one(tmp_path: Path) -> None:
    tree = config(save("AutoencoderKL", tmp_path / "vae")).to_tree()
    unset = {"kind": "diffusers"}
    tree["model"] |= {"encoder": unset, "decoder": unset}
    tree["stages"] = [
        {"name": "one"},
        {"name": "two", "start": {"source": "previous"}},
    ]
    one, two = load_stages(tree).values()
    assert one.to_tree()["model"] == two.to_tree()["model"]
    VisualTokenizer.from_diffusers(build("AutoencoderKL")).save_pretrained(tmp_path / "saved")
    encoder = config(str(tmp_path / "saved")).to_tree()["model"]["encoder"]
    assert encoder == one.to_tree()["model"]["encoder"]


def test_halves_are_filled_and_the_rest_is_new(tmp_path: Path) -> None:
    run = config(save("AutoencoderKL", tmp_path))
    tokenizer, original = run.build_tokenizer(), build("AutoencoderKL").state_dict()
    load_warm_start(tokenizer, run.start, previous=None, has_discriminator=False)
    state = tokenizer.state_dict()
    for name, tensor in original.items():
        half = "encoder" if name.startswith(("encoder", "quant_conv")) else "decoder"
        assert torch.equal(state[f"{half}.model.{name}"], tensor)
    # Three channels of four pass: the linear layers start as the identity.
    assert torch.equal(state["encoder.linear.weight"], torch.eye(3, 4))
    assert torch.equal(state["decoder.linear.weight"], torch.eye(4, 3))


def test_a_bottleneck_with_room_starts_from_the_autoencoder_itself(tmp_path: Path) -> None:
    save("AutoencoderKLWan", tmp_path)
    options = {"kind": "diffusers", "class": "AutoencoderKLWan"}
    options |= {"config": TINY["AutoencoderKLWan"].options, "linear": True}
    wide = VisualTokenizer(options, {"kind": "plain", "latent_channels": 6}, options).eval()
    narrow = VisualTokenizer.from_diffusers(build("AutoencoderKLWan"))
    wide.load_state_dict(narrow.state_dict(), strict=False)
    clip = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    torch.testing.assert_close(wide.reconstruct(clip), narrow.reconstruct(clip), atol=1e-5, rtol=0)
    normalized = narrow.normalize(narrow.encode(clip).latent)
    torch.testing.assert_close(wide.encode(clip).latent[:, :4], normalized)
    assert not wide.latent_scale.is_known  # they were normalized on the way


def test_what_a_config_states_must_agree_with_the_source(tmp_path: Path) -> None:
    name = save("AutoencoderKL", tmp_path)
    options = TINY["AutoencoderKL"].options
    config(name, encoder={"class": "AutoencoderKL", "config": options})
    with pytest.raises(ValueError, match=r"model\.encoder\.config\.scaling_factor is 0\.9, but"):
        config(name, encoder={"config": {**options, "scaling_factor": 0.9}})
    with pytest.raises(ValueError, match=r"model\.decoder\.class=VQModel, but start\.source"):
        config(name, decoder={"class": "VQModel"})
    with pytest.raises(ValueError, match=r"start\.source: no AutoencoderKL at .*no such folder"):
        config(f"diffusers:AutoencoderKL:{tmp_path / 'none'}")
    with pytest.raises(ValueError, match=r"model\.encoder: class is not set: name an autoencoder"):
        config(None)
    with pytest.raises(ValueError, match="no option chanels; did you mean"):
        config(None, encoder={"class": "AutoencoderKL", "config": {**options, "chanels": 1}})
    with pytest.raises(ValueError, match=r"linear=false needs a bottleneck that takes the 4 lat"):
        config(name, encoder={"linear": False})


def test_gradient_checkpointing_is_refused_where_diffusers_gets_it_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gradient_checkpointing: .* encoder, AutoencoderTiny"):
        config(save("AutoencoderTiny", tmp_path), gradient_checkpointing=True)


def test_parts_of_halves_can_be_frozen(tmp_path: Path) -> None:
    name = save("AutoencoderKL", tmp_path)
    config(name, freeze=["encoder.model", "decoder.model"])  # the linear layers learn
    with pytest.raises(ValueError, match=r"nothing to train"):
        config(name, freeze=["encoder", "decoder"])
    tree = {
        "model": {
            "encoder": {"kind": "causal", "stages": [{"width": 8, "blocks": 1}]},
            "bottleneck": {"kind": "fsq"},
            "decoder": {"kind": "causal", "stages": [{"width": 8, "blocks": 1}]},
        },
        "data": {"source": "samples:heldout", "size": 32},
        "train": {"steps": 1, "freeze": ["encoder.model"]},
    }
    with pytest.raises(ValueError, match=r"encoder\.model is a part of kind diffusers only"):
        load_stages(tree)
