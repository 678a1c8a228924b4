"""Tokenizers put together from modules: the same as built from a config, saved where possible."""

import copy
import json
import pickle
from collections.abc import Iterator

import pytest
import torch
from own_parts import Patches, Signs, Unpatches, forgetting

import vistok
from tiny import tiny_image_configs, tiny_tokenizer
from vistok import FSQ, KL, DualPath, Residual, Stage, VisualTokenizer
from vistok.models.causal_autoencoder import CausalDecoder, CausalEncoder
from vistok.models.recorded_arguments import options_of
from vistok.tokenizers.bottlenecks.catalog import BOTTLENECKS
from vistok.tokenizers.fingerprint import fingerprint
from vistok.tokenizers.modules import check_modules
from vistok.tokenizers.summary import summarize

PIXELS = torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    with forgetting():
        yield


def patches(bottleneck, **scale) -> VisualTokenizer:
    encoder, decoder = Patches(out_channels=bottleneck.dim), Unpatches(bottleneck.code_dim)
    return VisualTokenizer.from_modules(encoder, bottleneck, decoder, **scale).eval()


def test_it_is_the_tokenizer_that_a_config_describes():
    expected = tiny_tokenizer(bottleneck={"kind": "fsq", "levels": [5, 5]})
    modules = VisualTokenizer.from_modules(
        expected.encoder, expected.bottleneck, expected.decoder, scaling_factor=0.5
    )
    assert torch.equal(modules.encode(PIXELS).tokens, expected.encode(PIXELS).tokens)
    assert modules.state_dict().keys() == expected.state_dict().keys()
    assert modules.config["bottleneck_config"]["levels"] == [5, 5]
    assert modules.config["scaling_factor"] == 0.5
    again = VisualTokenizer.from_config(modules.config)
    assert isinstance(again, VisualTokenizer)
    again.load_state_dict(modules.state_dict())
    assert torch.equal(again.encode(PIXELS).tokens, expected.encode(PIXELS).tokens)


def test_modules_of_the_package_are_saved_with_the_options_they_were_made_with(tmp_path):
    stages = [Stage(8, blocks=1)]
    bottleneck = Residual(lambda: FSQ((3, 3), squash="clamp"), num_quantizers=2)
    tokenizer = VisualTokenizer.from_modules(
        CausalEncoder(stages, bottleneck.dim, patch_size=4, norm="none"),
        bottleneck,
        CausalDecoder(stages, bottleneck.code_dim, patch_size=4, norm="none"),
    ).eval()
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["bottleneck_config"] == {
        "kind": "residual",
        "quantizer": {"kind": "fsq", "levels": [3, 3], "squash": "clamp"},
        "num_quantizers": 2,
    }
    assert "out_channels" not in config["encoder_config"]
    assert "_registered_by" not in config
    again = VisualTokenizer.from_pretrained(tmp_path)
    assert torch.equal(again.encode(PIXELS).tokens, tokenizer.encode(PIXELS).tokens)
    assert fingerprint(again) == fingerprint(tokenizer)


def test_options_of_nested_parts_draw_no_random_numbers():
    bottleneck = DualPath(continuous=KL(4), quantizer=FSQ((3, 3, 3, 3)))
    torch.manual_seed(0)
    expected = torch.rand(())
    torch.manual_seed(0)
    assert options_of(BOTTLENECKS, bottleneck, "bottleneck") == {
        "kind": "dual_path",
        "continuous": {"kind": "kl", "latent_channels": 4},
        "quantizer": {"kind": "fsq", "levels": [3, 3, 3, 3]},
    }
    options_of(BOTTLENECKS, Residual(lambda: vistok.VQ(8, 4), 2), "bottleneck")
    vistok.VQ(8, 4)  # draws from torch's generator
    torch.manual_seed(0)
    residual = Residual(lambda: vistok.VQ(8, 4), 2)
    state = torch.get_rng_state()
    options_of(BOTTLENECKS, residual, "bottleneck")
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(0)
    assert torch.rand(()) == expected


def test_registered_kinds_are_saved_and_their_module_is_named_where_it_is_missing(tmp_path):
    for kind, component in {"signs": Signs, "patches": Patches, "unpatches": Unpatches}.items():
        vistok.register(kind, component)
    tokenizer = patches(Signs(channels=6))
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["bottleneck_config"] == {"kind": "signs", "channels": 6}
    assert config["_registered_by"] == dict.fromkeys(["patches", "signs", "unpatches"], "own_parts")
    again = VisualTokenizer.from_pretrained(tmp_path)
    assert torch.equal(again.reconstruct(PIXELS), tokenizer.reconstruct(PIXELS))
    again.save_pretrained(tmp_path / "again")  # what is written about a folder stays true
    saved_again = json.loads((tmp_path / "again" / "config.json").read_text())
    assert {key: saved_again[key] for key in config} == config
    del BOTTLENECKS["signs"]
    with pytest.raises(
        ValueError, match=r"bottleneck\.kind must be one of fsq, .* got 'signs'"
    ) as e:
        VisualTokenizer.from_pretrained(tmp_path)
    assert (
        "the kind 'signs' was registered by the module own_parts; if you trust it, import it "
        "before loading, or give --plugin own_parts"
    ) in str(e.value)
    assert "patches" not in str(e.value)


@pytest.mark.parametrize("module", ["os; rm -rf", "a/b", 3, None, ["x"]])
def test_only_names_of_modules_are_quoted_from_a_config(tmp_path, module):
    vistok.register("signs", Signs)
    tiny_tokenizer(bottleneck={"kind": "signs"}).save_pretrained(tmp_path)
    del BOTTLENECKS["signs"]
    config = json.loads((tmp_path / "config.json").read_text())
    config["_registered_by"] = {"signs": module}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="got 'signs'") as error:
        VisualTokenizer.from_pretrained(tmp_path)
    assert "was registered by" not in str(error.value)


def test_modules_that_are_not_registered_work_and_are_not_saved(tmp_path):
    tokenizer = patches(Residual(lambda: Signs(2), 2))
    layout = tokenizer.encode(PIXELS).layout
    assert tokenizer.decode_tokens(tokenizer.encode(PIXELS).tokens, layout).shape == PIXELS.shape
    with pytest.raises(ValueError, match=r"cannot be saved, only its state_dict can: ") as error:
        tokenizer.save_pretrained(tmp_path / "folder")
    for name, cls in {"encoder": "Patches", "bottleneck.quantizer": "Signs"}.items():
        assert (
            f"{name} is a {cls}, which is not registered; call vistok.register(kind, {cls}) first"
        ) in str(error.value)
    assert not (tmp_path / "folder").exists()
    other = patches(Residual(lambda: FSQ((2, 2)), 2))
    other.load_state_dict(tokenizer.state_dict())
    assert fingerprint(other) != fingerprint(tokenizer), "the classes of the modules count"
    summary = summarize(tokenizer, (1, 16, 16))
    assert summary.parameters["encoder"] == sum(p.numel() for p in tokenizer.encoder.parameters())
    assert summary.encode_multiply_adds > 0
    assert all(parameter.device.type == "cpu" for parameter in tokenizer.parameters())


def test_copies_know_their_arguments_and_unpickled_modules_ask_to_be_made_again(tmp_path):
    for kind, component in {"signs": Signs, "patches": Patches, "unpatches": Unpatches}.items():
        vistok.register(kind, component)
    copied = patches(copy.deepcopy(Residual(lambda: Signs(2), 2)))
    copied.save_pretrained(tmp_path)
    unpickled = pickle.loads(pickle.dumps(Signs(2)))
    with pytest.raises(ValueError, match="arguments of this Signs are not known, since it was unp"):
        patches(unpickled).save_pretrained(tmp_path)
    pickle.loads(pickle.dumps(copied)).save_pretrained(tmp_path / "again")


class TakesTable(Signs):
    def __init__(self, channels: int = 2, table: object = None) -> None:
        super().__init__(channels)


def test_arguments_that_are_no_plain_values_are_named(tmp_path):
    vistok.register("takes_table", TakesTable)
    tokenizer = patches(TakesTable(table=torch.ones(3)))
    with pytest.raises(ValueError, match=r"bottleneck\.table must be a plain JSON value to be sav"):
        tokenizer.save_pretrained(tmp_path)


def test_modules_that_do_not_fit_are_refused():
    wrong = {"encoder": Patches(2), "bottleneck": Patches(2), "decoder": Unpatches(2)}
    with pytest.raises(ValueError, match=r"^bottleneck must be a module that derives from vistok"):
        check_modules(wrong)
    with pytest.raises(ValueError, match="encoder must have out_channels=4, as the bott"):
        VisualTokenizer.from_modules(Patches(3), Signs(4), Unpatches(4))
    with pytest.raises(ValueError, match="encoder and decoder must have the same spatial_compress"):
        VisualTokenizer.from_modules(Patches(4), Signs(4), Unpatches(4, side=8))
    with pytest.raises(ValueError, match="latents_mean"):
        patches(Signs(4), latents_mean=[0.0], latents_std=[1.0])
    encoder, decoder = tiny_image_configs()
    assert VisualTokenizer(encoder, {"kind": "fsq"}, decoder).num_groups == 1
